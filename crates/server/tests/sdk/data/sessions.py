"""Sessions and what they have through the official SDK: every operation that needs nobody at work. Arguments: URL, key."""

import sys
import time

import anthropic

client = anthropic.Anthropic(
    base_url=sys.argv[1], api_key=sys.argv[2], max_retries=1, _strict_response_validation=True
)
is_new = int(anthropic.__version__.split(".")[0]) >= 2
sessions = client.beta.sessions
uploads = client.files if is_new else client.beta.files
environment = client.beta.environments.create(name="dev")
agent = client.beta.agents.create(
    name="Coder", model="claude-opus-5", system="You write code.", tools=[{"type": "agent_toolset_20260401"}]
)


def refused(status, call):
    try:
        call()
    except anthropic.APIStatusError as error:
        assert error.status_code == status, (error.status_code, error.body)
        assert error.response.headers["x-should-retry"] == "false", error.response.headers
        return error
    raise AssertionError(f"{status} was expected")


def bound_together():
    vault = client.beta.vaults.create(display_name="v")
    session = sessions.create(
        agent=agent.id,
        environment_id=environment.id,
        title="Fix it",
        metadata={"team": "a"},
        vault_ids=[vault.id],
        budget={"type": "limit", "max_list_cost": {"amount": "2500", "currency": "USD"}},
    )
    assert session.id.startswith("sesn_") and session.type == "session" and session.status == "idle"
    assert session.agent.id == agent.id and session.agent.version == 1 and session.agent.system == "You write code."
    assert session.agent.tools[0].default_config.enabled and session.agent.multiagent is None
    assert session.environment_id == environment.id and session.vault_ids == [vault.id]
    assert session.budget.max_list_cost.amount == "2500" and session.usage.input_tokens == 0
    assert session.usage.cache_creation.ephemeral_1h_input_tokens == 0 and session.outcome_evaluations == []
    assert sessions.retrieve(session.id).agent == session.agent
    assert isinstance(refused(409, lambda: client.beta.vaults.delete(vault.id)), anthropic.ConflictError)
    return session


def changed(session):
    again = sessions.update(session.id, title=None, metadata={"team": None, "x": "1"})
    assert again.title is None and again.metadata == {"x": "1"} and again.budget == session.budget
    other = sessions.update(session.id, agent={"tools": []})
    assert other.agent.tools == [] and client.beta.agents.retrieve(agent.id).tools == agent.tools
    refused(400, lambda: sessions.update(session.id, vault_ids=[]))
    refused(400, lambda: sessions.update(session.id, title=""))


def different():
    client.beta.agents.update(agent.id, version=1, name="Reviewer")
    pinned = sessions.create(agent={"type": "agent", "id": agent.id, "version": 1}, environment_id=environment.id)
    assert pinned.agent.name == "Coder"
    overrides = {"type": "agent_with_overrides", "id": agent.id, "system": None, "model": "claude-haiku-5", "tools": []}
    session = sessions.create(agent=overrides, environment_id=environment.id)
    assert session.agent.version == 2 and session.agent.system is None and session.agent.model.id == "claude-haiku-5"
    chief = client.beta.agents.create(
        name="Chief", model="claude-opus-5", multiagent={"type": "coordinator", "agents": [agent.id, {"type": "self"}]}
    )
    led = sessions.create(agent=chief.id, environment_id=environment.id)
    assert [member.name for member in led.agent.multiagent.agents] == ["Reviewer", "Chief"]


def given():
    file = uploads.upload(file=("data.csv", b"1,2", "text/csv"))
    session = sessions.create(
        agent=agent.id,
        environment_id=environment.id,
        resources=[
            {"type": "file", "file_id": file.id, "mount_path": "/data.csv"},
            {
                "type": "github_repository",
                "url": "https://github.com/acme/tool",
                "authorization_token": "ghp_secret",
                "checkout": {"type": "branch", "name": "main"},
            },
        ],
    )
    copy, repository = session.resources
    assert copy.mount_path == "/mnt/session/uploads/data.csv" and copy.file_id != file.id
    assert repository.mount_path == "/workspace/tool" and repository.checkout.name == "main"
    assert "ghp_secret" not in session.to_json()
    rotated = sessions.resources.update(repository.id, session_id=session.id, authorization_token="ghp_other")
    assert rotated.updated_at > repository.updated_at
    added = sessions.resources.add(session.id, type="file", file_id=file.id, mount_path="again.csv")
    assert sessions.resources.retrieve(added.id, session_id=session.id) == added
    listed = [one.id for one in sessions.resources.list(session.id, limit=2)]
    assert listed == [copy.id, repository.id, added.id], listed
    assert uploads.download(copy.file_id).read() == b"1,2"
    deleted = sessions.resources.delete(copy.id, session_id=session.id)
    assert deleted.type == "session_resource_deleted"
    refused(404, lambda: sessions.resources.retrieve(copy.id, session_id=session.id))
    refused(400, lambda: sessions.resources.update(added.id, session_id=session.id, authorization_token="x"))
    assert sessions.delete(session.id).type == "session_deleted"
    refused(404, lambda: uploads.download(added.file_id))


def listed():
    before = sessions.create(agent=agent.id, environment_id=environment.id)
    made = []
    for _ in range(5):
        time.sleep(0.002)
        made.append(sessions.create(agent=agent.id, environment_id=environment.id).id)
    found = [one.id for one in sessions.list(limit=2, created_at_gt=before.created_at)]
    assert found == [*reversed(made)], found
    oldest = [one.id for one in sessions.list(limit=2, created_at_gte=before.created_at, order="asc")]
    assert oldest == [before.id, *made], oldest
    first = sessions.list(limit=2, created_at_gt=before.created_at)
    assert first.prev_page is None
    second = first.get_next_page()
    assert sessions.list(limit=2, created_at_gt=before.created_at, page=second.prev_page).data[0].id == first.data[0].id
    idle = [one.id for one in sessions.list(statuses=["idle", "running"], agent_id=agent.id, agent_version=2, limit=100)]
    assert set(made) <= set(idle)
    assert list(sessions.list(statuses=["running", "terminated"])) == []
    archived = sessions.archive(before.id)
    assert archived.status == "terminated" and archived.archived_at
    assert before.id not in {one.id for one in sessions.list()}
    assert [one.id for one in sessions.list(include_archived=True, statuses=["terminated"])] == [before.id]
    refused(400, lambda: sessions.update(before.id, title="x"))
    refused(400, lambda: sessions.list(limit=101))


def mistakes():
    nobody = "1ChGqExyZXj8gBdypLbMAf"
    refused(404, lambda: sessions.retrieve(f"sesn_{nobody}"))
    refused(404, lambda: sessions.create(agent=f"agent_{nobody}", environment_id=environment.id))
    refused(404, lambda: sessions.create(agent=agent.id, environment_id=f"env_{nobody}"))
    refused(400, lambda: sessions.create(agent=agent.id, environment_id=environment.id, title="x" * 501))
    refused(400, lambda: sessions.create(agent=agent.id, environment_id=environment.id, extra_body={"colour": "red"}))
    archived = client.beta.environments.create(name="old")
    client.beta.environments.archive(archived.id)
    refused(400, lambda: sessions.create(agent=agent.id, environment_id=archived.id))
    refused(409, lambda: client.beta.environments.delete(environment.id))


changed(bound_together())
different()
given()
listed()
mistakes()
print("done", anthropic.__version__)
