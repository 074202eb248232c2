// The routes as the server's own schema tells them, and a form for one of them.

const element = (name, text, ...children) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
};

const typeOf = (schema = {}) =>
  schema.$ref ? schema.$ref.split("/").pop()
    : schema.anyOf ? schema.anyOf.map(typeOf).join(" or ")
      : schema.type === "array" ? `list of ${typeOf(schema.items)}`
        : schema.enum ? schema.enum.join(", ") : schema.type ?? "";

const table = (rows) => {
  const body = element("tbody");
  for (const row of rows) body.append(element("tr", "", ...row.map((text) => element("td", text))));
  return element("table", "", body);
};

function drawRoute(path, method, route, schemas) {
  const head = element("summary", "", element("code", `${method.toUpperCase()} ${path}`), ` ${route.summary ?? ""}`);
  const made = element("details", "", head);
  const parameters = (route.parameters ?? []).map((one) => [one.name, typeOf(one.schema), one.description ?? ""]);
  if (route.requestBody) {
    const kinds = Object.values(route.requestBody.content);
    const fields = Object.entries(kinds[0].schema.properties ?? {});
    parameters.push(...fields.map(([name, one]) => [name, "in the body", one.description ?? ""]));
  }
  if (parameters.length) made.append(element("strong", "Takes"), table(parameters));
  const answers = Object.entries(route.responses ?? {}).map(([status, one]) => {
    const kind = Object.values(one.content ?? {})[0];
    return [status, typeOf(kind?.schema), one.description ?? ""];
  });
  made.append(element("strong", "Answers"), table(answers));
  const good = answers.find(([status]) => status.startsWith("2"));
  const fields = Object.entries(schemas[good?.[1]]?.properties ?? {});
  if (fields.length) {
    made.append(element("strong", good[1]), table(fields.map(([name, one]) => [name, typeOf(one), one.description ?? ""])));
  }
  return made;
}

const schema = await (await fetch("/openapi.json")).json();
document.querySelector("#about").textContent = `${schema.info.summary} Version ${schema.info.version}.`;
const routes = document.querySelector("#routes");
for (const [path, methods] of Object.entries(schema.paths)) {
  for (const [method, route] of Object.entries(methods)) {
    routes.append(drawRoute(path, method, route, schema.components.schemas));
  }
}
const form = document.querySelector("#try");
const health = await (await fetch("/health")).json();
form.elements.model.append(...health.models.map((name) => element("option", name)));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = document.querySelector("#answer");
  answer.hidden = false;
  answer.textContent = "reading ...";
  const body = new FormData();
  body.append("file", form.elements.file.files[0]);
  const key = form.elements.key.value;
  const query = new URLSearchParams({ model: form.elements.model.value });
  try {
    const found = await fetch(`/classify?${query}`, { method: "POST", body, headers: key ? { "x-api-key": key } : {} });
    answer.textContent = JSON.stringify(await found.json(), null, 1);
  } catch (error) {
    answer.textContent = `${error.message}: is the server still there?`;
  }
});
