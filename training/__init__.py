"""Makes and judges checkpoints. Runs on a bare training machine: no web, no queue."""
