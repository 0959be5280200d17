// The first password must be changed before anything else.
// @ts-check
import { html, useState } from "../vendor/htm-preact.js";
import { Problem, request } from "./api.js";
import { t } from "./i18n.js";

export function PasswordScreen() {
  const [problem, setProblem] = useState("");
  /** @param {any} event */
  const send = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const [current, fresh, again] = ["current", "new", "again"].map((name) => String(form.get(name)));
    if (fresh !== again) return setProblem(t("password.differ"));
    try {
      await request("PUT", "/session/password", { current, new: fresh });
      location.reload();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(t(`problem.${error.code}`));
    }
  };
  return html`
    <main class="login">
      <form class="login-card" onSubmit=${send}>
        <h1>${t("password.title")}</h1>
        <p class="lead">${t("password.lead")}</p>
        <${Field} name="current" hint="current-password" />
        <${Field} name="new" hint="new-password" />
        <${Field} name="again" hint="new-password" />
        <p class="login-problem" role="alert">${problem}</p>
        <button class="primary">${t("password.submit")}</button>
      </form>
    </main>
  `;
}

/** @param {{ name: string, hint: string }} props */
const Field = ({ name, hint }) => html`
  <label>${t(`password.${name}`)}
    <input type="password" name=${name} autocomplete=${hint} required maxlength="256" /></label>
`;
