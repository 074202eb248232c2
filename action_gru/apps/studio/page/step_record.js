export const step = { id: "record", title: "Record", hint: () => "", mount: () => ({ update() {} }) };
