"""The work queue of a self-hosted environment through the official SDK, and the SDK's own poller and worker. Arguments: URL, key."""

import asyncio
import json
import sys
import tempfile
import threading
import urllib.request

import anthropic

URL, KEY = sys.argv[1:3]
client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=1, _strict_response_validation=True)
is_new = int(anthropic.__version__.split(".")[0]) >= 2
work = client.beta.environments.work
agent = client.beta.agents.create(name="Coder", model="claude-opus-5")


def refused(status, call):
    try:
        call()
    except anthropic.APIStatusError as error:
        assert error.status_code == status, (error.status_code, error.body)
        return error
    raise AssertionError(f"{status} was expected")


def environment_with_key(name):
    """Keys of workers are the administration's to make."""
    made = client.beta.environments.create(name=name, config={"type": "self_hosted"})
    request = urllib.request.Request(
        f"{URL}/api/environments/{made.id}/keys",
        data=json.dumps({"name": "worker"}).encode(),
        headers={"x-api-key": KEY, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return made, json.load(answer)["key"]


def session_in(environment, **more):
    return client.beta.sessions.create(agent=agent.id, environment_id=environment.id, **more)


def operations():
    environment, key = environment_with_key("operations")
    worker = anthropic.Anthropic(base_url=URL, auth_token=key, api_key=None, max_retries=0).beta.environments.work
    assert worker.poll(environment.id) is None
    assert worker.poll(environment.id, block_ms=50, anthropic_worker_id="one") is None
    session = session_in(environment)
    assert worker.stats(environment.id).depth == 1
    item = worker.poll(environment.id, block_ms=999, reclaim_older_than_ms=60000)
    assert item.state == "queued" and item.data.type == "session" and item.data.id == session.id and item.secret
    stats = work.stats(environment.id)
    assert (stats.depth, stats.pending, stats.workers_polling) == (0, 1, 1) and stats.oldest_queued_at
    at = {"environment_id": environment.id}
    acked = worker.ack(item.id, **at)
    assert acked.state == "starting" and acked.acknowledged_at and acked.secret is None
    assert worker.ack(item.id, **at) == acked
    beat = worker.heartbeat(item.id, **at, expected_last_heartbeat="NO_HEARTBEAT", desired_ttl_seconds=60)
    assert beat.state == "active" and beat.lease_extended and beat.ttl_seconds == 60
    second = worker.heartbeat(item.id, **at, expected_last_heartbeat=beat.last_heartbeat)
    stale = refused(412, lambda: worker.heartbeat(item.id, **at, expected_last_heartbeat=beat.last_heartbeat))
    state = stale.body["error"]["details"]["current_state"]
    assert state["last_heartbeat"] == second.last_heartbeat and state["lease_extended"] is False
    if is_new:
        assert type(stale).__name__ == "BetaHeartbeatPreconditionFailedError", type(stale)
        assert stale.details.current_state.state == "active"
    marked = work.update(item.id, **at, metadata={"host": "a", "rack": "7"})
    assert work.update(item.id, **at, metadata={"rack": None}).metadata == {"host": "a"}
    assert marked.id in [one.id for one in work.list(environment.id, limit=1)]
    refused(400, lambda: work.update(item.id, **at, metadata={"bailiwick.x": "1"}))
    refused(403, lambda: worker.update(item.id, **at, metadata={}))
    assert worker.stop(item.id, **at).state == "stopping"
    told = worker.heartbeat(item.id, **at, expected_last_heartbeat="anything")
    assert told.state == "stopping" and not told.lease_extended
    assert worker.stop(item.id, **at, force=True).state == "stopped"
    assert work.retrieve(item.id, **at).stopped_at
    refused(409, lambda: worker.ack(item.id, **at))
    refused(400, lambda: worker.poll(environment.id, block_ms=1000))
    refused(404, lambda: work.retrieve("work_1ChGqExyZXj8gBdypLbMAf", **at))
    other, _ = environment_with_key("other")
    refused(401, lambda: worker.poll(other.id))
    refused(403, lambda: worker._client.beta.sessions.list())
    refused(400, lambda: session_in(environment, resources=[{"type": "github_repository", "url": "https://github.com/a/b"}]))


def racing():
    """Of many that poll at once each item goes to one."""
    environment, key = environment_with_key("racing")
    sessions = {session_in(environment).id for _ in range(3)}
    taken = []

    def poll():
        one = anthropic.Anthropic(base_url=URL, auth_token=key, api_key=None)
        item = one.beta.environments.work.poll(environment.id)
        if item is not None:
            taken.append(item.data.id)

    threads = [threading.Thread(target=poll) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(sessions), (taken, sessions)


async def drained():
    """The SDK's poller takes what there is, acknowledges it and asks it to stop."""
    environment, key = environment_with_key("drained")
    sessions = {session_in(environment).id for _ in range(2)}
    one = anthropic.AsyncAnthropic(base_url=URL, api_key=KEY)
    poller = one.beta.environments.work.poller(
        environment_id=environment.id, environment_key=key, drain=True, block_ms=None
    )
    seen = set()
    async for item in poller:
        assert work.retrieve(item.id, environment_id=environment.id).state == "starting"
        seen.add(item.data.id)
    assert seen == sessions
    assert {item.state for item in work.list(environment.id)} == {"stopping"}


async def until(condition):
    for _ in range(300):
        found = await asyncio.to_thread(condition)
        if found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come to that")


async def served():
    """The SDK's worker serves sessions one after the other: poll, ack, heartbeat, calls of tools, stop. An agent that a script runs calls them."""
    environment, key = environment_with_key("served")
    message = {"type": "user.message", "content": [{"type": "text", "text": "serve"}]}
    first = session_in(environment, initial_events=[message])

    def last_said(session):
        events = list(client.beta.sessions.events.list(session.id))
        assert [event for event in events if event.type == "user.tool_result"], events
        return [event.content[0].text for event in events if event.type == "agent.message"][-1]

    one = anthropic.AsyncAnthropic(base_url=URL, api_key=KEY)
    with tempfile.TemporaryDirectory() as directory:
        worker = one.beta.environments.work.worker(
            environment_id=environment.id, environment_key=key, workdir=directory, max_idle=0.1
        )
        running = asyncio.create_task(worker.run())

        def ended(session):
            items = [item for item in work.list(environment.id) if item.data.id == session.id]
            return next((item for item in items if item.state == "stopped"), None)

        item = await until(lambda: ended(first))
        assert item.acknowledged_at and item.started_at and item.latest_heartbeat_at and item.stopped_at, item
        assert await asyncio.to_thread(last_said, first) == "It came to served"
        # What comes later is served too.
        second = session_in(environment, initial_events=[message])
        item = await until(lambda: ended(second))
        assert item.latest_heartbeat_at, item
        assert await asyncio.to_thread(last_said, second) == "It came to served"
        assert work.stats(environment.id).workers_polling == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


operations()
racing()
asyncio.run(drained())
asyncio.run(served())
print("done", anthropic.__version__)
