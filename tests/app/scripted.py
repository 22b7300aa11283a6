"""A service that answers by a script, for the flows of the client."""

import json

from app.client_calls import Pause, Reply


def reply(status=200, content=b"{}", **headers) -> Reply:
    return Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, content)


def problem(status, code, **more) -> Reply:
    headers = {"retry_after": more.pop("retry_after")} if "retry_after" in more else {}
    body = json.dumps({"code": code, "detail": f"about {code}", **more}).encode()
    return reply(status, body, **headers)


def play(flow, *answers):
    """Runs a flow on answers, exceptions among them; its result, its calls and its pauses."""
    calls, pauses, left = [], [], list(answers)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = next(flow)
                continue
            calls.append(step)
            answer = left.pop(0)
            raised = isinstance(answer, Exception)
            step = flow.throw(answer) if raised else flow.send(answer)
    except StopIteration as end:
        assert left == []
        return end.value, calls, pauses
