"""Every event of a session, each once and in order, over connections that are lost.

`Last-Event-ID` is an extension of Bailiwick. Where it is not known, list after each connect and leave out the ids that you have.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()
events = client.beta.sessions.events

agent = client.beta.agents.create(
    name="Counter",
    model="claude-sonnet-4-5",
    tools=[{"type": "agent_toolset_20260401"}],
)
environment = client.beta.environments.create(
    name="follow",
    config={"type": "cloud", "networking": {"type": "limited", "allowed_hosts": []}},
)
session = client.beta.sessions.create(
    agent=agent.id,
    environment_id=environment.id,
    initial_events=[{"type": "user.message", "content": [{"type": "text", "text": "Count."}]}],
)


def connected(last):
    """What happened since the event `last`, and what happens, for as long as this connection lasts."""
    with events.stream(session.id, extra_headers={"Last-Event-ID": last} if last else {}) as stream:
        if last is None:
            # What happened before the stream was open; it may have some of that too.
            for event in events.list(session.id):
                yield event
        for number, event in enumerate(stream):
            yield event
            # As if the network were bad.
            if number == 2:
                return


seen, is_over = {}, False
while not is_over:
    last = next(reversed(seen), None)
    for event in connected(last):
        if event.id in seen:
            continue
        seen[event.id] = event
        print(event.type, event.id)
        if event.type == "session.status_idle":
            is_over = True
            break
