"""An agent that asks before it runs anything: one call is allowed, another one is not, with words for the agent.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()

agent = client.beta.agents.create(
    name="Tidier",
    model="claude-sonnet-4-5",
    tools=[
        {
            "type": "agent_toolset_20260401",
            "default_config": {"permission_policy": {"type": "always_ask"}},
        }
    ],
)
environment = client.beta.environments.create(
    name="confirmation",
    config={"type": "cloud", "networking": {"type": "limited", "allowed_hosts": []}},
)
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


def decide(call):
    """What a person would be asked."""
    if call.input["command"].startswith("rm "):
        return {"result": "deny", "deny_message": "Nothing is removed here: move it to old/."}
    return {"result": "allow"}


calls = {}
with client.beta.sessions.events.stream(session.id) as stream:
    client.beta.sessions.events.send(
        session.id,
        events=[{"type": "user.message", "content": [{"type": "text", "text": "Tidy up."}]}],
    )
    for event in stream:
        if event.type == "agent.message":
            print("agent:", "".join(block.text for block in event.content))
        elif event.type == "agent.tool_use":
            calls[event.id] = event
        elif event.type == "agent.tool_result":
            failed = "error" if event.is_error else "result"
            print(f"{failed}:", "".join(block.text for block in event.content).strip())
        elif event.type == "session.status_idle":
            if event.stop_reason.type != "requires_action":
                print("over:", event.stop_reason.type)
                break
            confirmations = []
            for waiting in event.stop_reason.event_ids:
                decision = decide(calls[waiting])
                print("asked:", calls[waiting].input["command"], "->", decision["result"])
                confirmations.append({"type": "user.tool_confirmation", "tool_use_id": waiting, **decision})
            client.beta.sessions.events.send(session.id, events=confirmations)
