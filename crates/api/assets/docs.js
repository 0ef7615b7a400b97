// Shows /openapi.json. Everything is put in as text, never as markup.
"use strict";

const METHODS = ["get", "put", "post", "delete"];

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  for (const child of children.flat()) if (child != null) node.append(child);
  return node;
}

// Text with `code` between backticks.
function prose(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

function refName(schema) {
  return schema && schema.$ref ? schema.$ref.split("/").pop() : null;
}

// A short word for a schema, with links to the named ones.
function typeOf(schema) {
  if (!schema || schema === true || Object.keys(schema).length === 0) return ["any"];
  const name = refName(schema);
  if (name) return [el("a", { href: `#schema-${name}` }, name)];
  const parts = schema.oneOf || schema.anyOf || schema.allOf;
  if (parts) return parts.flatMap((part, index) => (index ? [" | ", ...typeOf(part)] : typeOf(part)));
  if (schema.enum) return [schema.enum.map((word) => JSON.stringify(word)).join(" | ")];
  const types = [].concat(schema.type || "any");
  return types.flatMap((type, index) => {
    const words = index ? [" | "] : [];
    if (type === "array") return [...words, "list of ", ...typeOf(schema.items)];
    if (type === "object" && schema.additionalProperties) return [...words, "map of ", ...typeOf(schema.additionalProperties)];
    return [...words, schema.format ? `${type} (${schema.format})` : type];
  });
}

function fields(schema) {
  const properties = Object.entries(schema.properties || {});
  if (!properties.length) return el("p", {}, ...typeOf(schema));
  const required = new Set(schema.required || []);
  return el("table", {}, properties.map(([name, own]) =>
    el("tr", {},
      el("td", {}, el("code", {}, name), required.has(name) ? "" : el("span", { class: "dim" }, " optional")),
      el("td", {}, ...typeOf(own)),
      el("td", {}, ...prose(own.description)))));
}

function bodies(content) {
  return Object.entries(content || {}).map(([media, own]) =>
    el("p", {}, el("code", {}, media), ": ", ...typeOf(own.schema)));
}

function operation(path, method, own) {
  const id = own.operationId || `${method}-${path}`;
  const parameters = own.parameters || [];
  return el("section", { id },
    el("h3", {}, el("a", { href: `#${id}` }, el("code", {}, el("span", { class: "method" }, method.toUpperCase()), path))),
    el("p", {}, el("strong", {}, ...prose(own.summary))),
    own.description ? el("p", {}, ...prose(own.description)) : null,
    parameters.length ? el("table", {}, parameters.map((one) =>
      el("tr", {},
        el("td", {}, el("code", {}, one.name), el("span", { class: "dim" }, ` ${one.in}${one.required ? "" : ", optional"}`)),
        el("td", {}, ...prose(one.description))))) : null,
    own.requestBody ? el("div", {}, el("strong", {}, "Body"), bodies(own.requestBody.content)) : null,
    el("details", {}, el("summary", {}, "Answers"),
      el("table", {}, Object.entries(own.responses).map(([status, answer]) =>
        el("tr", {}, el("td", {}, status),
          el("td", {}, ...prose(answer.description)), el("td", {}, bodies(answer.content)))))));
}

function show(api) {
  const contents = document.getElementById("contents");
  const main = document.getElementById("document");
  main.replaceChildren(el("h1", {}, `${api.info.title} ${api.info.version}`),
    el("p", {}, ...prose(api.info.description)),
    el("p", {}, el("a", { href: "/docs/errors" }, "Error codes"), " · ", el("a", { href: "/openapi.json" }, "openapi.json")));
  for (const tag of api.tags) {
    main.append(el("h2", {}, tag.name), el("p", {}, ...prose(tag.description)));
    contents.append(el("h2", {}, tag.name));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((name) => item[name] && (item[name].tags || []).includes(tag.name))) {
        const node = operation(path, method, item[method]);
        main.append(node);
        contents.append(el("a", { href: `#${node.id}` }, (item[method].summary || node.id).replace(/\.$/, "")));
      }
    }
  }
  main.append(el("h2", {}, "schemas"));
  contents.append(el("h2", {}, "schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    main.append(el("section", { id: `schema-${name}` }, el("h3", {}, name), el("p", {}, ...prose(schema.description)), fields(schema)));
    contents.append(el("a", { href: `#schema-${name}` }, name));
  }
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

fetch("/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(show)
  .catch((error) => document.getElementById("document").append(el("p", {}, `The document could not be read: ${error.message}`)));
