// Runs before anything is painted: the theme that this post chose, so that nothing flashes at night.
"use strict";
try {
  document.documentElement.dataset.theme = localStorage.getItem("gatewayd.theme") || "dark";
} catch {
  document.documentElement.dataset.theme = "dark"; // storage may be off; the night theme is safe
}
