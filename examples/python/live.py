"""An answer while it is written: parts of messages, put together by the SDK.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic
from anthropic.lib.sessions import accumulate_managed_agents_event

client = anthropic.Anthropic()

agent = client.beta.agents.create(name="Teller", model="claude-sonnet-4-5")
environment = client.beta.environments.create(name="live")
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)

snapshot, shown = None, ""
with client.beta.sessions.events.stream(session.id, event_deltas=["agent.message"]) as stream:
    client.beta.sessions.events.send(
        session.id,
        events=[{"type": "user.message", "content": [{"type": "text", "text": "Tell me a story."}]}],
    )
    for event in stream:
        snapshot = accumulate_managed_agents_event(snapshot, event)
        if event.type == "event_delta":
            text = "".join(block.text for block in snapshot.content)
            print(text.removeprefix(shown), end="|", flush=True)
            shown = text
        elif event.type == "agent.message":
            # The event is what counts; its parts were the beginning of it.
            assert "".join(block.text for block in event.content).startswith(shown)
            print("\nwhole:", "".join(block.text for block in event.content))
        elif event.type == "session.status_idle":
            break
