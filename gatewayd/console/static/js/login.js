// The log-in form: sends name and password as JSON, shows what is wrong in words.
// @ts-check
import { Problem, request } from "./api.js";
import { t, useLanguage } from "./i18n.js";

const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
const problem = /** @type {HTMLElement} */ (document.getElementById("problem"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
const chosen = new URLSearchParams(location.search).get("lang") === document.documentElement.lang;
const language = /** @type {import("./i18n.js").Language} */ (document.documentElement.lang);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  button.disabled = true;
  const fields = new FormData(form);
  try {
    await useLanguage(language, "UTC");
    await request("POST", "/session", {
      name: fields.get("name"), password: fields.get("password"), language,
    });
    // Whoever chose it here wants it there too; who did not keeps their own.
    if (chosen) await request("PUT", "/session/language", { language }).catch(() => null);
    location.assign("/");
  } catch (error) {
    const code = error instanceof Problem ? error.code : "unreachable";
    problem.textContent = t(`problem.${code}`);
    button.disabled = false;
    /** @type {HTMLInputElement} */ (form.elements.namedItem("password")).select();
  }
});
