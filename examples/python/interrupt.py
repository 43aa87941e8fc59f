"""A command that takes too long is stopped, and the agent is told what to do instead.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()

agent = client.beta.agents.create(
    name="Builder",
    model="claude-sonnet-4-5",
    tools=[{"type": "agent_toolset_20260401"}],
)
environment = client.beta.environments.create(
    name="interrupt",
    config={"type": "cloud", "networking": {"type": "limited", "allowed_hosts": []}},
)
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


def say(text):
    event = {"type": "user.message", "content": [{"type": "text", "text": text}]}
    client.beta.sessions.events.send(session.id, events=[event])


def until_idle(stream):
    """Tells what happens until the session rests."""
    for event in stream:
        if event.type == "agent.message":
            print("agent:", "".join(block.text for block in event.content))
        elif event.type == "agent.tool_use":
            print("tool:", event.name, event.input["command"])
            if event.input["command"].startswith("sleep"):
                client.beta.sessions.events.send(session.id, events=[{"type": "user.interrupt"}])
        elif event.type == "agent.tool_result":
            print("error:" if event.is_error else "result:", "".join(block.text for block in event.content).strip())
        elif event.type == "session.status_idle":
            print("over:", event.stop_reason.type)
            return
    raise RuntimeError("the stream has ended")


with client.beta.sessions.events.stream(session.id) as stream:
    say("Wait for the build.")
    until_idle(stream)
    say("Do not wait: just look.")
    until_idle(stream)
