"""Files and skills through the official SDK: of both generations, whose answers differ. Arguments: URL, key."""

import io
import sys
import zipfile

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=1)
is_new = int(anthropic.__version__.split(".")[0]) >= 2
files = client.files if is_new else client.beta.files
skills = client.skills if is_new else client.beta.skills
SKILL = b"---\nname: my-skill\ndescription: does things\n---\n# x\n"
LOOSE = [
    ("my-skill/SKILL.md", SKILL, "text/markdown"),
    ("my-skill/scripts/x.py", b"#!/usr/bin/env python3\nprint(1)\n", "text/x-python"),
]


def refused(status, call):
    try:
        call()
    except anthropic.APIStatusError as error:
        assert error.status_code == status, (error.status_code, error.body)
        return error
    raise AssertionError(f"{status} was expected")


def uploads():
    made = files.upload(file=("a b.txt", b"hello", "text/plain"))
    assert (made.filename, made.mime_type, made.size_bytes) == ("a b.txt", "text/plain", 5), made
    assert files.upload(file=io.BytesIO(b"plain")).size_bytes == 5
    if is_new:
        assert files.upload(file=("x.csv", b"1,2", "text/csv"), expires_in_seconds=3600).expires_at
        assert [one.id for one in files.list(ids=[made.id])] == [made.id]
    for number in range(3):
        files.upload(file=(f"p{number}", b"x"))
    seen = [one.filename for one in files.list(limit=2)]
    assert seen[:3] == ["p2", "p1", "p0"] and "a b.txt" in seen, seen
    retrieve = getattr(files, "retrieve_metadata", None) or files.retrieve
    assert retrieve(made.id).size_bytes == 5
    assert files.download(made.id).read() == b"hello"
    files.delete(made.id)
    assert isinstance(refused(404, lambda: files.download(made.id)), anthropic.NotFoundError)
    refused(400, lambda: files.list(limit=1001))


def name_of(version):
    """What clients call a version."""
    return version.id if is_new else version.version


def versions_of(skill):
    loose = skills.versions.create(skill.id, files=LOOSE)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dir/SKILL.md", SKILL)
        archive.writestr("dir/a/b", "c")
    newest = skills.versions.create(skill.id, files=[("skill.zip", packed.getvalue(), "application/zip")])
    assert len(list(skills.versions.list(skill.id, limit=1))) == 3
    assert skills.versions.retrieve("latest", skill_id=skill.id).id == newest.id
    assert skills.versions.retrieve(name_of(loose), skill_id=skill.id).id == loose.id
    if hasattr(skills.versions, "download"):
        content = skills.versions.download(name_of(loose), skill_id=skill.id).read()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert sorted(archive.namelist()) == ["my-skill/SKILL.md", "my-skill/scripts/x.py"], archive.namelist()
            assert archive.read("my-skill/SKILL.md") == SKILL
    skills.versions.delete(name_of(loose), skill_id=skill.id)
    refused(404, lambda: skills.versions.retrieve(name_of(loose), skill_id=skill.id))


def made_skills():
    title = {"display_name": "My skill"} if is_new else {"display_title": "My skill"}
    skill = skills.create(files=LOOSE, **title)
    assert skill.id in [one.id for one in skills.list(limit=1)]
    assert skill.id in [one.id for one in skills.list(source="custom")]
    assert skills.retrieve(skill.id).id == skill.id
    versions_of(skill)
    taken = refused(409, lambda: skills.create(files=LOOSE))
    assert taken.response.headers["x-should-retry"] == "false"
    refused(400, lambda: skills.create(files=[("my-skill/README.md", b"x", "text/markdown")]))
    if not is_new:
        refused(400, lambda: skills.delete(skill.id))
        for version in list(skills.versions.list(skill.id)):
            skills.versions.delete(version.version, skill_id=skill.id)
    skills.delete(skill.id)
    refused(404, lambda: skills.retrieve(skill.id))


uploads()
made_skills()
print("done", anthropic.__version__)
