"""What tests of the HTTP API check alike."""


def check_problem(response, status, code, *, instance="/synthesize"):
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    assert problem["type"] == f"urn:sian:error:{code}"
    assert problem["title"]
    assert problem["instance"] == instance
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert len(problem["detail"]) > 20
    return problem
