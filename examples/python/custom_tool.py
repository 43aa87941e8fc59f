"""A tool of your own, which runs here and not in the sandbox.

ANTHROPIC_BASE_URL is where `bailiwick up` listens, ANTHROPIC_API_KEY a key of that server.
"""

import anthropic

client = anthropic.Anthropic()

agent = client.beta.agents.create(
    name="Shopkeeper",
    model="claude-sonnet-4-5",
    tools=[
        {
            "type": "custom",
            "name": "stock",
            "description": "How many of an article there are.",
            "input_schema": {
                "type": "object",
                "properties": {"article": {"type": "string"}},
                "required": ["article"],
            },
        }
    ],
)
environment = client.beta.environments.create(name="shop")
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)

STOCK = {"nails": 250}


def answer(call):
    """What the tool says to a call."""
    article = call.input["article"]
    result = {"type": "user.custom_tool_result", "custom_tool_use_id": call.id}
    if article not in STOCK:
        return {**result, "is_error": True, "content": [{"type": "text", "text": f"there is no article {article}"}]}
    return {**result, "content": [{"type": "text", "text": str(STOCK[article])}]}


calls = {}
with client.beta.sessions.events.stream(session.id) as stream:
    client.beta.sessions.events.send(
        session.id,
        events=[
            {
                "type": "user.message",
                "content": [{"type": "text", "text": "How many nails and screws do we have?"}],
            }
        ],
    )
    for event in stream:
        if event.type == "agent.message":
            print("agent:", "".join(block.text for block in event.content))
        elif event.type == "agent.custom_tool_use":
            print("tool:", event.name, event.input["article"])
            calls[event.id] = event
        elif event.type == "session.status_idle":
            if event.stop_reason.type != "requires_action":
                print("over:", event.stop_reason.type)
                break
            # Of calls that were made at once, those that are answered may be told again with the rest.
            results = [answer(calls.pop(waiting)) for waiting in event.stop_reason.event_ids if waiting in calls]
            if results:
                client.beta.sessions.events.send(session.id, events=results)
