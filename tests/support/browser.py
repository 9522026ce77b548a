"""A real Chromium, without a window or connections of its own."""

import base64
import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from .stoppable import Stoppable

SECONDS = 20

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
"""No window, no updates, no services."""


def missing() -> str | None:
    """Return why there is no browser here; ``None`` if there is one."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: chromium, chromium-driver)"
    return None


CONTRASTS = """
const rgba = (text) => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return [r, g, b, a];
};
const over = (top, below) =>
  below.map((part, n) => n < 3 ? top[n] * top[3] + part * (1 - top[3]) : 1);
const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
  .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
const found = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  const text = own.map((node) => node.data).join("").trim();
  if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
  const above = [];
  for (let each = element; each; each = each.parentElement) above.unshift(getComputedStyle(each));
  const below = above.reduce((under, style) => over(rgba(style.backgroundColor), under),
    [255, 255, 255, 1]);
  const ink = rgba(above.at(-1).color);
  ink[3] *= above.reduce((product, style) => product * style.opacity, 1);
  const [dark, bright] = [light(over(ink, below)), light(below)].sort((a, b) => a - b);
  found.push([text, (bright + 0.05) / (dark + 0.05)]);
}
return found;
"""
"""Finds each text that is visible, and its contrast to what is behind it (WCAG 2.2)."""


class Browser(Stoppable):
    """One page at a time, read as a person does."""

    def __init__(self, profile: Path, *, dark: bool = False, width: int = 1280) -> None:
        options = Options()
        options.binary_location = str(shutil.which("chromium"))
        for argument in (*QUIET, f"--user-data-dir={profile}", f"--window-size={width},1000"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self._driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
        self._features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._emulate("")
        if width < 500:  # no window is that narrow
            metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": True}
            self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, page: Path) -> None:
        self._driver.get(page.as_uri())

    def stop(self) -> None:
        self._driver.quit()

    def all(self, selector: str) -> list[WebElement]:
        """Return what a CSS selector finds."""
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        (found,) = self.all(selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """Return the visible text of each, all at once."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        found: list[str] = self._driver.execute_script(script, selector)
        return found

    def wait_for(self, selector: str, text: str) -> None:
        """Wait until the first that ``selector`` finds shows ``text``."""
        WebDriverWait(self._driver, SECONDS).until(
            lambda _: text in self.texts(selector)[0], f"{text!r} in {selector}"
        )

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self._driver.switch_to.active_element.send_keys(key)

    def contrasts(self) -> list[tuple[str, float]]:
        """Return each text that is visible, and its contrast: 1 for none, at most 21."""
        return [(text, ratio) for text, ratio in self.run(CONTRASTS)]

    @contextlib.contextmanager
    def paper(self) -> Iterator[None]:
        """Show the page as it would be printed."""
        self._emulate("print")
        try:
            yield
        finally:
            self._emulate("")

    def run(self, script: str) -> Any:
        return self._driver.execute_script(script)

    def requests(self) -> list[str]:
        """Return every URL that was requested since the last call."""
        messages = [json.loads(e["message"])["message"] for e in self._log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return what is in the console: errors, and what the page's policy has blocked."""
        return [entry["message"] for entry in self._log("browser")]

    def screenshot(self, path: Path) -> None:
        """Keep the whole page as an image."""
        path.write_bytes(self.photograph("png"))

    def photograph(self, kind: str, **options: Any) -> bytes:
        """Return the whole page as an image; ``kind`` is png or jpeg, which takes a quality."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        size = {"width": width, "height": min(height, 6000), "deviceScaleFactor": 1}
        self._driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**size, "mobile": False}
        )
        taken = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"format": kind, **options})
        return base64.b64decode(taken["data"])

    def printed_pages(self) -> int:
        """Return on how many sheets of A4 the page prints."""
        sheet = {"paperWidth": 8.27, "paperHeight": 11.69}
        printed = self._driver.execute_cdp_cmd("Page.printToPDF", sheet)
        pdf = base64.b64decode(printed["data"])
        return len(re.findall(rb"/Type\s*/Page\b", pdf))

    def _emulate(self, media: str) -> None:
        emulated = {"media": media, "features": self._features}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)

    def _log(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._driver.get_log(kind)  # type: ignore[no-untyped-call]
        return found
