"""The Celery application: one task that carries a job's id and nothing else.

The settings are those that survived an outage of Redis in measurements. With Celery's defaults
publishing to a Redis that is down blocks for 19 s, to one that is frozen for ever.
"""

import ssl
from collections.abc import Callable

from celery import Celery
from celery.exceptions import Reject

from model.errors import StoreUnavailable
from worker.waiting import NotNow

RUN = "sian.run"
QUEUE = "sian"
_VISIBILITY_TIMEOUT_S = 6 * 3600
"""When Redis hands out a message again that a worker took and never acknowledged. Far above all
but the longest jobs, since one that is handed out twice is looked at twice, and no more. It is not
what brings back the jobs of a dead worker: that is their lease, in the job records."""

ORDINARY, FIRST = 9, 0
"""Priorities of messages, of which Redis takes the lower first. A job that comes back from a dead
worker has waited longest."""
LISTS = (QUEUE, f"{QUEUE}\x06\x16{ORDINARY}")
"""Where kombu keeps the messages: a list for each priority."""

_GIVE_UP_S = 2
_RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


def celery_app(broker_url: str) -> Celery:
    """For publishing, and for the worker to register its task with."""
    app = Celery("sian", broker=broker_url, set_as_current=False)
    if broker_url.startswith("rediss:"):
        # Without a word kombu verifies no certificate. Options in the URL replace these.
        app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    app.conf.update(
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_acks_late=True,
        # A worker that is lost takes its whole process along; the lease brings its jobs back.
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_timeout=_GIVE_UP_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis whose memory or disk is full refuses even acknowledgements. That passes.
        broker_channel_error_retry=True,
        broker_transport_options={
            "socket_timeout": _GIVE_UP_S,
            "socket_connect_timeout": _GIVE_UP_S,
            # A Redis that vanishes without a word is missed.
            "socket_keepalive": True,
            "health_check_interval": 5,
            "priority_steps": [FIRST, ORDINARY],
            "visibility_timeout": _VISIBILITY_TIMEOUT_S,
            **_RETRY_ONCE,
        },
    )
    return app


def register(
    app: Celery,
    run: Callable[[str], bool],
    *,
    submit_later: Callable[[str], None],
    submit_first: Callable[[str], None],
) -> None:
    """Have the task of this process call ``run`` with a job's id.

    run: as ``Engine.run``. Where it raises, the message is gone; the job is not: its lease runs
        out.
    submit_later: publishes a job that was not run now, in a moment; raises nothing.
    submit_first: publishes a job that ``run`` has put back in the queue.
    """

    @app.task(name=RUN, shared=False)  # type: ignore[untyped-decorator]
    def task(job_id: str) -> None:
        try:
            has_ended = run(job_id)
        except NotNow:
            submit_later(job_id)
            return
        if not has_ended:
            try:
                submit_first(job_id)
            except StoreUnavailable:
                raise Reject("the job goes back to the queue", requeue=True) from None
