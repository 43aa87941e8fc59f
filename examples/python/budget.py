"""A session that may cost a cent, and then a dollar.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()

agent = client.beta.agents.create(
    name="Researcher",
    model="claude-sonnet-4-5",
    tools=[{"type": "agent_toolset_20260401"}],
)
environment = client.beta.environments.create(
    name="budget",
    config={"type": "cloud", "networking": {"type": "limited", "allowed_hosts": []}},
)


def cents(amount):
    return {"type": "limit", "max_list_cost": {"amount": str(amount), "currency": "USD"}}


session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id, budget=cents(1))

with client.beta.sessions.events.stream(session.id) as stream:
    client.beta.sessions.events.send(
        session.id,
        events=[{"type": "user.message", "content": [{"type": "text", "text": "Find out all about it."}]}],
    )
    for event in stream:
        if event.type == "agent.message":
            print("agent:", "".join(block.text for block in event.content))
        elif event.type == "agent.tool_use":
            print("tool:", event.name, event.input["command"])
        elif event.type == "session.status_idle":
            print("over:", event.stop_reason.type)
            if event.stop_reason.type != "budget_reached":
                break
            try:
                client.beta.sessions.events.send(
                    session.id,
                    events=[{"type": "user.message", "content": [{"type": "text", "text": "Go on."}]}],
                )
            except anthropic.BadRequestError:
                print("more is not taken")
            # It goes on with what it was at.
            client.beta.sessions.update(session.id, budget=cents(100))
