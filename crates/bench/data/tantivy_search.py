"""Searches by tantivy. Reads a file of texts (one JSON object a line), says that it is ready, and obeys orders like the program's own roles."""

import json
import sys
import threading
import time

import tantivy

FIELDS = ["title", "headings", "body"]


def index_of(path):
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("environment", stored=False, tokenizer_name="raw")
    for field in FIELDS:
        schema.add_text_field(field, stored=True, tokenizer_name="en_stem")
    schema = schema.build()
    index = tantivy.Index(schema)
    writer = index.writer(heap_size=200_000_000)
    with open(path, encoding="utf-8") as file:
        for line in file:
            writer.add_document(tantivy.Document(**json.loads(line)))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return schema, index


def search(schema, index, searcher, question):
    words = " OR ".join(question.split(" "))
    boosts = {"title": 8.0, "headings": 4.0, "body": 1.0}
    query = index.parse_query(f"+environment:dev +({words})", FIELDS, field_boosts=boosts)
    snippets = tantivy.SnippetGenerator.create(searcher, query, schema, "body")
    hits = searcher.search(query, 10).hits
    for _, address in hits:
        snippets.snippet_from_doc(searcher.doc(address)).to_html()
    return len(hits)


def obey(schema, index, load):
    questions, lock, times, found = iter(load["questions"]), threading.Lock(), [], []

    def work():
        searcher = index.searcher()
        while True:
            with lock:
                question = next(questions, None)
            if question is None:
                return
            begun = time.perf_counter()
            found.append(search(schema, index, searcher, question))
            times.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(load["at_once"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    if sum(found) == 0:
        return {"Failed": "nothing was found"}
    times.sort()
    at = lambda percent: times[min(len(times) - 1, len(times) * percent // 100)] * 1e6
    return {"Samples": [len(times) / took, at(50), at(99)]}


schema, index = index_of(sys.argv[1])
print("true", flush=True)
for line in sys.stdin:
    print(json.dumps(obey(schema, index, json.loads(line))), flush=True)
