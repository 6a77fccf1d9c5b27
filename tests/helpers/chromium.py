"""A page in headless Chromium, driven over its debugging pipe: needs a browser and nothing else."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """Path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One open page; `errors` collects what its console complains of and `requests` every address it asks for."""

    def __init__(self, width: int = 1280, height: int = 900, *, dark: bool = False, touch: bool = False) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4. A shell puts them there: Python code between fork
        # and exec would not be safe beside threads.
        self._browser = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"',
                "bash",
                find_chromium(),
                *FLAGS,
                f"--user-data-dir={self._profile.name}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._last, self._session = b"", 0, None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        if touch:
            self._call("Emulation.setTouchEmulationEnabled", enabled=True)
        if dark:
            self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.kill()
        self._browser.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def open(self, path: Path) -> None:
        """Load a local file."""
        self._call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression in the page; a promise is awaited."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > end:
                raise TimeoutError(f"not true after {seconds} s: {script}; errors: {self.errors}")
            time.sleep(0.1)

    def press(self, key: str, code: int) -> None:
        """Press and release a key, as a person at the keyboard would."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": " "} if key == " " and kind == "keyDown" else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def mouse(self, kind: str, x: float, y: float, *, down: bool = False) -> None:
        """Move, press or release the mouse at a place in the window: `mouseMoved`, `mousePressed`, `mouseReleased`."""
        button = {"button": "left", "buttons": 1, "clickCount": 1} if down or kind != "mouseMoved" else {}
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def drag(self, places: list[tuple[float, float]]) -> None:
        """Press the mouse at the first place, move over the others, release it at the last one."""
        self.mouse("mousePressed", *places[0])
        for place in places[1:]:
            self.mouse("mouseMoved", *place, down=True)
        self.mouse("mouseReleased", *places[-1])

    def swipe(self, x: float, y: float, distance: float) -> None:
        """Swipe up with one finger."""
        for step in range(11):
            kind = "touchStart" if step == 0 else "touchMove"
            self._call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y - distance * step / 10}])
            time.sleep(0.02)
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def type(self, text: str) -> None:
        """Type text into the field that has the focus."""
        self._call("Input.insertText", text=text)

    def pdf(self, path: Path) -> None:
        """Print the page to a PDF, as a person would."""
        Path(path).write_bytes(base64.b64decode(self._call("Page.printToPDF", printBackground=True)["data"]))

    def screenshot(
        self, path: Path, *, whole: bool = False, of: str | None = None, height: int | None = None, margin: int = 0
    ) -> None:
        """Save what is visible, the whole page, or the element of a selector (its top `height` pixels), as PNG."""
        if of is not None:
            clip = self.run(
                f"(r => ({{x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height, scale: 1}}))"
                f"(document.querySelector({of!r}).getBoundingClientRect())"
            )
            clip["height"] = min(clip["height"], height or clip["height"])
            clip |= {"x": clip["x"] - margin, "width": clip["width"] + 2 * margin}
            answer = self._call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        elif whole:
            size = self._call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            answer = self._call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        else:
            answer = self._call("Page.captureScreenshot")
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while (answer := self._receive()).get("id") != self._last:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _receive(self, seconds: float = 60) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium has ended")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(
                str([argument.get("value") or argument.get("description") for argument in params["args"]])
            )
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
