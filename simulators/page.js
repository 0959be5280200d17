// The tester's page: what each device can be told, it said itself ("orders").
"use strict";

const REFRESH_MS = 2000;
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const FIRST = ["present", "show", "press"]; // what a tester does all day

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// "26" is a number, "true" is a flag, and what is none of these is a text.
function read(text, field) {
  if (["value", "text", "keys"].includes(field)) return text;
  try {
    const value = JSON.parse(text);
    return ["number", "boolean"].includes(typeof value) ? value : text;
  } catch {
    return text;
  }
}

async function obey(device, order) {
  const answer = await fetch(`devices/${encodeURIComponent(device.name)}`, {
    method: "POST",
    body: JSON.stringify(order),
  });
  return answer.ok ? answer.json() : { ok: false, error: `HTTP ${answer.status}` };
}

function orderForm(device, name, fields, said) {
  const inputs = fields.map((field) => [field, made("input", { name: field, autocomplete: "off" })]);
  const give = async (event) => {
    event.preventDefault();
    const order = { do: name };
    for (const [field, input] of inputs) {
      if (input.value !== "") order[field] = read(input.value, field);
    }
    said(await obey(device, order));
  };
  const parts = inputs.map(([field, input]) => made("label", {}, field, input));
  const form = made("form", { onsubmit: give }, made("fieldset", {}, ...parts, made("button", {}, name)));
  if (name !== "press") return form;
  const keys = inputs.find(([field]) => field === "keys")[1];
  const pad = KEYS.map((key) => made("button", { type: "button", onclick: () => { keys.value += key; } }, key));
  form.append(made("div", { class: "keys", role: "group", "aria-label": "keypad" }, ...pad));
  return form;
}

function section(device) {
  const answer = made("pre", { "data-answer": "" });
  const status = made("pre", { "data-status": "" });
  const said = (reply) => {
    answer.textContent = JSON.stringify(reply);
    answer.className = reply.ok ? "" : "refused";
  };
  const names = Object.keys(device.orders);
  const usual = FIRST.filter((name) => names.includes(name));
  const forms = usual.map((name) => orderForm(device, name, device.orders[name], said));
  const others = names.filter((name) => !usual.includes(name) && name !== "status");
  const choice = made("select", { "aria-label": "order" }, ...others.map((name) => made("option", {}, name)));
  const chosen = made("div");
  const choose = () => chosen.replaceChildren(orderForm(device, choice.value, device.orders[choice.value], said));
  choice.addEventListener("change", choose);
  if (others.length) choose();
  return made(
    "section", { "data-device": device.name },
    made("h2", {}, device.name),
    ...forms,
    ...(others.length ? [made("details", {}, made("summary", {}, "other orders"), choice, chosen)] : []),
    answer,
    made("details", {}, made("summary", {}, "how it is"), status),
  );
}

function show(devices) {
  const page = document.getElementById("devices");
  for (const device of devices) {
    const orders = JSON.stringify(device.orders);
    let found = [...page.children].find((each) => each.dataset.device === device.name);
    if (!found || found.dataset.orders !== orders) {
      const anew = section(device);
      anew.dataset.orders = orders; // it was started anew, as something else
      if (found) found.replaceWith(anew);
      else page.append(anew);
      found = anew;
    }
    const status = found.querySelector("[data-status]");
    status.textContent = device.away ?? JSON.stringify(device.status, null, 1);
    status.className = device.away ? "refused" : "";
    if (device.away) status.parentElement.open = true;
  }
}

async function refresh() {
  try {
    show(await (await fetch("devices")).json());
  } finally {
    setTimeout(refresh, REFRESH_MS);
  }
}

refresh();
