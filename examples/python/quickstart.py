"""From an agent to its answer, as it comes.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()

agent = client.beta.agents.create(
    name="Coding assistant",
    model="claude-sonnet-4-5",
    system="You are a careful programmer.",
    tools=[{"type": "agent_toolset_20260401"}],
)
environment = client.beta.environments.create(
    name="quickstart",
    config={"type": "cloud", "networking": {"type": "limited", "allowed_hosts": []}},
)
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id, title="Quickstart")

# The stream first: it has what happens from here on.
with client.beta.sessions.events.stream(session.id) as stream:
    client.beta.sessions.events.send(
        session.id,
        events=[
            {
                "type": "user.message",
                "content": [{"type": "text", "text": "Write the first 10 primes to primes.txt."}],
            }
        ],
    )
    for event in stream:
        if event.type == "agent.message":
            print("agent:", "".join(block.text for block in event.content))
        elif event.type == "agent.tool_use":
            print("tool:", event.name, event.input["command"])
        elif event.type == "agent.tool_result":
            print("result:", "".join(block.text for block in event.content).strip())
        elif event.type == "session.status_idle":
            print("over:", event.stop_reason.type)
            break
