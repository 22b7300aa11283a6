"""The service: HTTP front end and command line. Importing it does not import torch."""
