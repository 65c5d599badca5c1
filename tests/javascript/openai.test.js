// OpenAI's SDK for JavaScript, against a running Onionskin.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { losing, transcripts, url } from "./onionskin.js";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
const said = (content) => ({ role: "user", content });

async function ask(user, messages, more = {}, options = {}) {
  const body = { model: "layered", user, messages, ...more };
  const { message } = (await client.chat.completions.create(body, options)).choices[0];
  return message.content;
}

test("profiles are models", async () => {
  const names = (await client.models.list()).data.map((one) => one.id);
  assert.ok(names.includes("layered") && names.includes("window"));
});

test("what was said in another conversation is remembered, for its user alone", async () => {
  const body = { model: "layered", user: "js1", messages: [said("My locker is number 4711.")] };
  const { data, response } = await client.chat.completions.create(body).withResponse();
  assert.equal(data.object, "chat.completion");
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.equal(response.headers.get("x-turn-id"), `${response.headers.get("x-session-id")}.0`);
  assert.equal(data.metadata.session_id, response.headers.get("x-session-id"));
  const question = [said("Which number has my locker?")];
  assert.match(JSON.parse(await ask("js1", question)).prompt, /4711/);
  assert.doesNotMatch(JSON.parse(await ask("js1-other", question)).prompt, /4711/);
  assert.equal((await transcripts("js1")).length, 2);
});

test("a stream says it in pieces, and its usage when it is wanted", async () => {
  const body = { model: "layered", user: "js2", messages: [said("Count.")], stream: true };
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({
    ...body,
    stream_options: { include_usage: true },
  })) {
    chunks.push(chunk);
  }
  const reply = chunks.flatMap((one) => one.choices).map((one) => one.delta.content ?? "");
  assert.deepEqual(await transcripts("js2"), [["Count.", reply.join("")]]);
  assert.ok(chunks.length > 4);
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.total_tokens > 0);
});

test("a resent history goes on with its session", async () => {
  const history = [{ role: "system", content: "Be brief." }];
  for (const text of ["One.", "Two.", "Three."]) {
    history.push(said(text));
    history.push({ role: "assistant", content: await ask("js3", history) });
  }
  assert.deepEqual(await transcripts("js3"), [history.slice(1).map((one) => one.content)]);
});

test("a session goes on by its name, in metadata or in a header", async () => {
  const first = await client.chat.completions.create({
    model: "layered",
    user: "js4",
    messages: [said("One.")],
  });
  const named = first.metadata.session_id;
  await ask("js4", [said("Two.")], { metadata: { session_id: named } });
  await ask("js4", [said("Three.")], {}, { headers: { "X-Session-Id": named } });
  const [stored, ...others] = await transcripts("js4");
  assert.deepEqual(others, []);
  assert.deepEqual([stored[0], stored[2], stored[4]], ["One.", "Two.", "Three."]);
});

test("tools and pictures go to the model as they are", async () => {
  const tool = { type: "function", function: { name: "clock", parameters: { type: "object" } } };
  const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
  const parts = [{ type: "text", text: "What is on it?" }, picture];
  const asked = JSON.parse(await ask("js5", [said(parts)], { tools: [tool] }));
  assert.equal(asked.tools[0].function.name, "clock");
  assert.deepEqual(asked.last.at(-1), picture);
  assert.equal((await transcripts("js5"))[0][0], "What is on it?");
});

test("errors are the SDK's own", async () => {
  await assert.rejects(ask("js6", [said("Hi.")], { model: "gpt-9" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.ok(error.requestID);
    return true;
  });
  for (const [messages, more] of [
    [[], {}],
    [[said("Hi.")], { n: 2 }],
    [[said("Hi.")], { user: undefined }],
  ]) {
    await assert.rejects(ask("js6", messages, more), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.type, "invalid_request_error");
      return true;
    });
  }
  assert.deepEqual(await transcripts("js6"), []);
});

test("a lost answer is asked for again by the SDK, and stored once", async () => {
  const eager = new OpenAI({ baseURL: `${losing}/v1`, apiKey: "any", maxRetries: 2 });
  eager.calculateDefaultRetryTimeoutMillis = () => 0;
  const history = [];
  for (const stream of [false, true, false, true]) {
    history.push(said(`Turn ${history.length}.`));
    const body = { model: "layered", user: "js7", messages: history, stream };
    const answer = await eager.chat.completions.create(body);
    let reply = stream ? "" : answer.choices[0].message.content;
    if (stream) for await (const one of answer) reply += one.choices[0]?.delta.content ?? "";
    history.push({ role: "assistant", content: reply });
  }
  assert.deepEqual(await transcripts("js7"), [history.map((one) => one.content)]);
});
