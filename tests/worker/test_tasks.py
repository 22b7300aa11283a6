"""What the task makes of how a job's run ended."""

import pytest
from celery.exceptions import Reject

from model.errors import StoreUnavailable
from worker.tasks import RUN, celery_app, register
from worker.waiting import NotNow


def execute(end, *, submit_later, submit_first):
    """The task, for a job whose run ends so: True, False or an exception."""

    def run(job_id):
        assert job_id == "a"
        if isinstance(end, Exception):
            raise end
        return end

    app = celery_app("redis://localhost:1/0")
    register(app, run, submit_later=submit_later, submit_first=submit_first)
    try:
        app.tasks[RUN].run("a")
    finally:
        app.close()


@pytest.mark.parametrize(
    ("end", "first", "last"), [(True, [], []), (False, ["a"], []), (NotNow("large"), [], ["a"])]
)
def test_a_job_comes_back_where_it_belongs(end, first, last):
    submitted_first, submitted = [], []
    execute(end, submit_later=submitted.append, submit_first=submitted_first.append)
    assert (submitted_first, submitted) == (first, last)


def test_the_message_is_kept_while_no_other_can_be_sent():
    def away(job_id):
        raise StoreUnavailable("The queue is away.", retry_after_s=1)

    with pytest.raises(Reject) as rejected:
        execute(False, submit_later=away, submit_first=away)
    assert rejected.value.requeue is True
