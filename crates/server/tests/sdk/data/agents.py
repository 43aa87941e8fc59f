"""Agents through the official SDK. Answers are validated strictly: a required field that is missing fails. Arguments: URL, key."""

import sys

import anthropic

client = anthropic.Anthropic(
    base_url=sys.argv[1], api_key=sys.argv[2], max_retries=2, _strict_response_validation=True
)
agents = client.beta.agents


def refused(status, call):
    """The error that a call ends with."""
    try:
        call()
    except anthropic.APIStatusError as error:
        assert error.status_code == status, (error.status_code, error.body)
        assert error.request_id, "no request id"
        return error
    raise AssertionError(f"{status} was expected")


def everything():
    return agents.create(
        name="Coder",
        model={"id": "claude-opus-5", "effort": "max", "speed": "fast"},
        description="Writes code",
        system="You write code.",
        metadata={"team": "a", "cost_center": "7"},
        mcp_servers=[{"type": "url", "name": "git", "url": "https://git.example.com/mcp"}],
        skills=[{"type": "anthropic", "skill_id": "pdf"}, {"type": "custom", "skill_id": "skill_1", "version": "2"}],
        tools=[
            {
                "type": "agent_toolset_20260401",
                "default_config": {"permission_policy": {"type": "always_ask"}},
                "configs": [
                    {"name": "bash", "enabled": False},
                    {"name": "web_fetch", "allowed_domains": ["docs.example.com"], "max_content_tokens": 1000},
                    {"name": "web_search", "user_location": {"type": "approximate", "country": "DE"}},
                ],
            },
            {"type": "mcp_toolset", "mcp_server_name": "git", "configs": [{"name": "push", "enabled": False}]},
            {
                "type": "custom",
                "name": "ask_human",
                "description": "Asks somebody",
                "input_schema": {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
            },
        ],
    )


def made_and_read():
    agent = everything()
    assert agent.type == "agent" and agent.id.startswith("agent_") and agent.version == 1
    assert agent.model.id == "claude-opus-5" and agent.model.effort.type == "max" and agent.model.speed == "fast"
    assert agent.archived_at is None and agent.multiagent is None
    toolset, mcp, custom = agent.tools
    assert toolset.default_config.enabled and toolset.default_config.permission_policy.type == "always_ask"
    assert [config.name for config in toolset.configs] == ["bash", "web_fetch", "web_search"]
    assert not toolset.configs[0].enabled and toolset.configs[1].enabled
    assert toolset.configs[1].allowed_domains == ["docs.example.com"] and toolset.configs[1].blocked_domains is None
    assert mcp.default_config.permission_policy.type == "always_ask" and not mcp.configs[0].enabled
    assert custom.input_schema.required == ["question"]
    assert [skill.version for skill in agent.skills] == ["latest", "2"]
    # Older lines of the SDK have no type for it.
    assert agent.to_dict()["execution_identity"] == {"type": "service_account"}
    assert agents.retrieve(agent.id) == agent
    return agent


def changed(agent):
    second = agents.update(agent.id, version=agent.version, name="Reviewer", system=None, metadata={"team": None, "x": "1"})
    assert second.version == 2 and second.name == "Reviewer" and second.system is None
    assert second.metadata == {"cost_center": "7", "x": "1"}
    assert second.tools == agent.tools and second.model == agent.model
    # Nothing changes, nothing is made.
    assert agents.update(agent.id, version=2, name="Reviewer").version == 2
    third = agents.update(agent.id, version=2, model="claude-opus-5", tools=[], mcp_servers=[])
    assert third.version == 3 and third.tools == [] and third.model.effort.type == "max" and third.model.speed == "standard"
    assert agents.retrieve(agent.id, version=1) == agent
    stale = refused(409, lambda: agents.update(agent.id, version=1, name="Late"))
    assert isinstance(stale, anthropic.ConflictError)
    assert stale.response.headers["x-should-retry"] == "false"
    versions = [version.version for version in agents.versions.list(agent.id, limit=2)]
    assert versions == [3, 2, 1], versions


def delegating(agent):
    chief = agents.create(
        name="Chief",
        model="claude-opus-5",
        multiagent={"type": "coordinator", "agents": [agent.id, {"type": "self"}]},
    )
    roster = [(member.id, member.version) for member in chief.multiagent.agents]
    assert roster == [(agent.id, 3), (chief.id, 1)], roster
    assert agents.update(chief.id, version=1, name="Boss").multiagent.agents[1].version == 2


def listed():
    before = agents.create(name="before", model="m")
    later = [agents.create(name=f"n{number}", model="m").id for number in range(5)]
    found = [agent.id for agent in agents.list(limit=2, created_at_gte=before.created_at)]
    assert found == [*reversed(later), before.id], found
    oldest = [agent.id for agent in agents.list(limit=100, created_at_lte=before.created_at)]
    assert before.id in oldest and later[0] not in oldest
    archived = agents.archive(before.id)
    assert archived.archived_at and agents.archive(before.id) == archived
    assert before.id not in [agent.id for agent in agents.list()]
    assert before.id in [agent.id for agent in agents.list(include_archived=True)]
    refused(400, lambda: agents.update(before.id, version=1, name="x"))


def mistakes():
    refused(404, lambda: agents.retrieve("agent_1ChGqExyZXj8gBdypLbMAf"))
    refused(400, lambda: agents.create(name="", model="m"))
    refused(400, lambda: agents.create(name="a", model="m", extra_body={"colour": "red"}))
    refused(400, lambda: agents.create(name="a", model="m", tools=[{"type": "mcp_toolset", "mcp_server_name": "none"}]))
    refused(400, lambda: agents.list(limit=101))
    nobody = anthropic.Anthropic(base_url=sys.argv[1], api_key="bwk_nobody", max_retries=0)
    refused(401, lambda: nobody.beta.agents.list())


agent = made_and_read()
changed(agent)
delegating(agent)
listed()
mistakes()
print("done", anthropic.__version__)
