"""A real Chromium, without a window or connections of its own."""

import base64
import json
import re
import shutil
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


class Browser(Stoppable):
    """One page at a time, read as a person does."""

    def __init__(self, profile: Path, *, dark: bool = False, width: int = 1280) -> None:
        options = Options()
        options.binary_location = str(shutil.which("chromium"))
        for argument in (*QUIET, f"--user-data-dir={profile}", f"--window-size={width},1000"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self._driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
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
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        size = {"width": width, "height": min(height, 6000), "deviceScaleFactor": 1}
        self._driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**size, "mobile": False}
        )
        self._driver.save_screenshot(str(path))

    def printed_pages(self) -> int:
        """Return on how many sheets of A4 the page prints."""
        sheet = {"paperWidth": 8.27, "paperHeight": 11.69}
        printed = self._driver.execute_cdp_cmd("Page.printToPDF", sheet)
        pdf = base64.b64decode(printed["data"])
        return len(re.findall(rb"/Type\s*/Page\b", pdf))

    def _log(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._driver.get_log(kind)  # type: ignore[no-untyped-call]
        return found
