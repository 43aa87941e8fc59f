"""A model that fails: what the server tries by itself, what it tells meanwhile, and going on once it has given up.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()

agent = client.beta.agents.create(name="Helper", model="claude-sonnet-4-5")
environment = client.beta.environments.create(name="retries")
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


def say(text):
    event = {"type": "user.message", "content": [{"type": "text", "text": text}]}
    client.beta.sessions.events.send(session.id, events=[event])


def until_idle(stream):
    """Tells what happens until the session rests; why it does."""
    for event in stream:
        if event.type == "agent.message":
            print("agent:", "".join(block.text for block in event.content))
        elif event.type == "session.error":
            print("failed:", event.error.type, event.error.retry_status.type)
        elif event.type == "session.status_rescheduled":
            print("trying again")
        elif event.type == "session.status_idle":
            print("over:", event.stop_reason.type)
            return event.stop_reason.type
    raise RuntimeError("the stream has ended")


with client.beta.sessions.events.stream(session.id) as stream:
    say("Hello?")
    while until_idle(stream) == "retries_exhausted":
        # Nothing is tried until somebody says something.
        say("Are you there now?")
