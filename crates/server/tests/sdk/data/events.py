"""Events, streams and threads of sessions through the official SDK, of an agent that a script runs. Arguments: URL, key."""

import sys
import threading

import anthropic

URL, KEY = sys.argv[1:3]
client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, _strict_response_validation=True)
is_new = int(anthropic.__version__.split(".")[0]) >= 2
sessions = client.beta.sessions
agent = client.beta.agents.create(name="Coder", model="claude-opus-5")
environment = client.beta.environments.create(name="dev")


def session(**more):
    return sessions.create(agent=agent.id, environment_id=environment.id, **more)


def said(text):
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def until_idle(stream):
    """All that a stream has until the session waits for input."""
    seen = []
    for event in stream:
        seen.append(event)
        if event.type == "session.status_idle":
            return seen
    raise AssertionError("the stream ended")


def texts(events):
    return [block.text for event in events if event.type == "agent.message" for block in event.content]


def refused(status, call):
    try:
        call()
    except anthropic.APIStatusError as error:
        assert error.status_code == status, (error.status_code, error.body)
        return error
    raise AssertionError(f"{status} was expected")


def sent_and_streamed():
    one = session()
    with sessions.events.stream(one.id) as stream:
        sent = sessions.events.send(one.id, events=[said("hello")])
        assert sent.data[0].type == "user.message" and sent.data[0].processed_at is None
        seen = until_idle(stream)
    assert texts(seen) == ["You said hello"]
    assert [event.type for event in seen] == [
        "user.message", "session.thread_status_running", "session.status_running", "span.model_request_start", "agent.message",
        "span.model_request_end", "session.thread_status_idle", *(["session.usage"] if is_new else []), "session.status_idle",
    ], [event.type for event in seen]
    assert seen[-1].stop_reason.type == "end_turn"
    listed = list(sessions.events.list(one.id, limit=2))
    ids = [event.id for event in listed]
    assert len(set(ids)) == len(ids) == 9 and {event.id for event in seen} <= set(ids)
    backwards = [event.id for event in sessions.events.list(one.id, limit=2, order="desc")]
    assert backwards == ids[::-1]
    if is_new:
        only = [event.type for event in sessions.events.list(one.id, types=["agent.message"])]
        assert only == ["agent.message"]
    message = next(event for event in listed if event.type == "agent.message")
    after = list(sessions.events.list(one.id, created_at_gt=message.processed_at))
    assert [event.id for event in after] == ids[ids.index(message.id) + 1:]
    shown = sessions.retrieve(one.id)
    assert shown.status == "idle" and shown.usage.input_tokens == 3


def begun():
    one = session(initial_events=[said("first")])
    assert one.status == "running"
    for _ in range(100):
        if sessions.retrieve(one.id).status == "idle":
            break
        threading.Event().wait(0.05)
    assert texts(sessions.events.list(one.id)) == ["You said first"]


def in_parts():
    one = session()
    with sessions.events.stream(one.id, event_deltas=["agent.message"]) as stream:
        sessions.events.send(one.id, events=[said("a b c")])
        seen = until_idle(stream)
    start = next(event for event in seen if event.type == "event_start")
    parts = [event.delta.content.text for event in seen if event.type == "event_delta"]
    whole = next(event for event in seen if event.type == "agent.message")
    assert "".join(parts) == "You said a b c" == whole.content[0].text
    assert start.event.id == whole.id and len(parts) > 1
    refused(400, lambda: sessions.events.stream(one.id, event_deltas=["user.message"]))


def asked():
    one = session()
    for verdict in ["allow", "deny"]:
        with sessions.events.stream(one.id) as stream:
            sessions.events.send(one.id, events=[said("ask")])
            stop = until_idle(stream)[-1].stop_reason
            assert stop.type == "requires_action" and len(stop.event_ids) == 1
            confirmation = {"type": "user.tool_confirmation", "tool_use_id": stop.event_ids[0], "result": verdict}
            sent = sessions.events.send(one.id, events=[confirmation])
            assert sessions.events.send(one.id, events=[confirmation]).data[0].id == sent.data[0].id
            seen = until_idle(stream)
        assert texts(seen) == [f"It came to {verdict}"]
        result = next(event for event in seen if event.type == "agent.tool_result")
        assert result.tool_use_id == stop.event_ids[0] and result.is_error == (verdict == "deny")
    with sessions.events.stream(one.id) as stream:
        sessions.events.send(one.id, events=[said("custom")])
        call = until_idle(stream)[-1].stop_reason.event_ids[0]
        result = {"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": [{"type": "text", "text": "sunny"}]}
        sessions.events.send(one.id, events=[result])
        assert texts(until_idle(stream)) == ["It came to sunny"]
    result["content"] = []
    refused(409, lambda: sessions.events.send(one.id, events=[result]))


def interrupted():
    one = session()
    with sessions.events.stream(one.id) as stream:
        sessions.events.send(one.id, events=[said("work")])
        sessions.events.send(one.id, events=[{"type": "user.interrupt"}, said("then this")])
        assert until_idle(stream)[-1].stop_reason.type == "end_turn"
        assert texts(until_idle(stream)) == ["You said then this"]


def threads():
    one = session()
    sessions.events.send(one.id, events=[said("hello")])
    all_threads = list(sessions.threads.list(one.id))
    assert len(all_threads) == 1
    thread = sessions.threads.retrieve(all_threads[0].id, session_id=one.id)
    assert thread.session_id == one.id and thread.parent_thread_id is None and thread.agent.name == "Coder"
    with sessions.threads.events.stream(thread.id, session_id=one.id) as stream:
        sessions.events.send(one.id, events=[said("again")])
        assert texts(until_idle(stream))[-1:] == ["You said again"] or texts(until_idle(stream))
    of_thread = [event.id for event in sessions.threads.events.list(thread.id, session_id=one.id)]
    assert of_thread == [event.id for event in sessions.events.list(one.id)]
    refused(409, lambda: sessions.threads.archive(thread.id, session_id=one.id))
    refused(404, lambda: sessions.threads.retrieve("sthr_1ChGqExyZXj8gBdypLbMAf", session_id=one.id))


def ended():
    one, other = session(), session()
    with sessions.events.stream(one.id) as stream:
        sessions.archive(one.id)
        assert [event.type for event in stream][-1] == "session.status_terminated"
    with sessions.events.stream(other.id) as stream:
        sessions.delete(other.id)
        assert [event.type for event in stream] == ["session.deleted"]
    refused(400, lambda: sessions.events.send(one.id, events=[said("x")]))
    refused(404, lambda: sessions.events.stream(other.id))


sent_and_streamed()
begun()
if is_new:
    in_parts()
asked()
interrupted()
threads()
ended()
print("done", anthropic.__version__)
