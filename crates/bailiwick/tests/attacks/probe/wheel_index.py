# An index of Python packages (PEP 503) below a directory with one wheel of many modules in it. Argument: the directory.
import os
import sys
import zipfile

MODULES = 40

directory = f"{sys.argv[1]}/simple/many"
os.makedirs(directory)
name = "many-1.0-py3-none-any.whl"
with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
    for number in range(MODULES):
        wheel.writestr(f"many/m{number}.py", f"NUMBER = {number}\n")
    wheel.writestr("many/__init__.py", f"MODULES = {MODULES}\n")
    info = "many-1.0.dist-info"
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: many\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
with open(f"{directory}/index.html", "w") as page:
    page.write(f'<a href="{name}">{name}</a>')
