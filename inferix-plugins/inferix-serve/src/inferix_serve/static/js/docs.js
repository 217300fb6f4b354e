// The REST interface for people, from the server's own description of it.

import { element, find } from "./dom.js";

const named = (reference) => reference.split("/").at(-1);

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return named(schema.$ref);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeOf(schema.items) || "anything"}`;
  const bounds = [["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["maxLength", "length ≤"]];
  const said = bounds.filter(([key]) => schema[key] !== undefined).map(([key, sign]) => `${sign} ${schema[key]}`);
  return [schema.format ?? schema.type, ...said].filter(Boolean).join(" ");
}

const code = (text) => element("code", { textContent: text });
const table = (rows) => element("table", {}, element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))))));

function bodyOf(content) {
  return Object.entries(content ?? {}).map(([kind, { schema }]) => `${typeOf(schema) || "…"} (${kind})`).join(", ");
}

function operation(method, path, { summary, description, parameters = [], requestBody, responses }) {
  const rows = parameters.map((one) => [code(one.name), `${typeOf(one.schema)} ${one.description ?? ""}`]);
  if (requestBody) rows.push(["body", bodyOf(requestBody.content)]);
  for (const [status, { description: text, content }] of Object.entries(responses)) rows.push([code(status), `${text} ${bodyOf(content)}`]);
  const head = element("summary", {}, element("b", { textContent: method.toUpperCase() }), code(path), element("span", { textContent: summary ?? "" }));
  return element("details", {}, head, element("p", { textContent: description ?? "" }), table(rows));
}

function schemaTable(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => [code(key), typeOf(value), value.description ?? ""]);
  return element("details", {}, element("summary", {}, code(name), element("span", { textContent: schema.description ?? "" })), table(rows));
}

const described = await (await fetch("/v1/openapi.json")).json();
find("#title").textContent = `${described.info.title} ${described.info.version}`;
find("#description").textContent = described.info.description;
const groups = new Map();
for (const [path, methods] of Object.entries(described.paths)) {
  for (const [method, one] of Object.entries(methods)) {
    const group = one.tags?.[0] ?? "server";
    groups.set(group, [...(groups.get(group) ?? []), operation(method, path, one)]);
  }
}
find("#operations").replaceChildren(...[...groups].flatMap(([group, items]) => [element("h2", { textContent: group }), ...items]));
find("#schemas").replaceChildren(...Object.entries(described.components.schemas).map(([name, schema]) => schemaTable(name, schema)));
