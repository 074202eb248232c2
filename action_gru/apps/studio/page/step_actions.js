export const step = { id: "actions", title: "Actions", hint: () => "", mount: () => ({ update() {} }) };
