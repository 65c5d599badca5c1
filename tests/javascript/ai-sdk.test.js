// Vercel's AI SDK, against a running Onionskin.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";

import { losing, transcripts, url } from "./onionskin.js";

const onionskin = createOpenAICompatible({
  name: "onionskin",
  baseURL: `${url}/v1`,
  apiKey: "any",
  includeUsage: true,
});
const of = (user) => ({
  model: onionskin("layered"),
  providerOptions: { onionskin: { user } },
  maxRetries: 0,
});
const said = (content) => ({ role: "user", content });

test("a conversation goes on, and the next one remembers it", async () => {
  const messages = [];
  for (const text of ["My locker is number 4711.", "It is green.", "It is in Oslo."]) {
    messages.push(said(text));
    const { response, usage } = await generateText({ ...of("ai1"), messages });
    assert.ok(usage.totalTokens > 0);
    messages.push(...response.messages);
  }
  const stored = await transcripts("ai1");
  assert.equal(stored.length, 1);
  assert.equal(stored[0].length, 6);
  const { text } = await generateText({ ...of("ai1"), prompt: "Which number has my locker?" });
  assert.match(JSON.parse(text).prompt, /4711/);
  assert.equal((await transcripts("ai1")).length, 2);
});

test("a stream is stored as it was sent, and its session goes on by name", async () => {
  const first = streamText({ ...of("ai2"), prompt: "One." });
  let reply = "";
  for await (const piece of first.textStream) reply += piece;
  assert.ok((await first.usage).totalTokens > 0);
  const { headers } = await first.response;
  const named = { "X-Session-Id": headers["x-session-id"] };
  const { text } = await generateText({ ...of("ai2"), prompt: "Two.", headers: named });
  assert.deepEqual(await transcripts("ai2"), [["One.", reply, "Two.", text]]);
});

test("a request that names itself is stored once, though its answer was lost", async () => {
  const lossy = createOpenAICompatible({ name: "onionskin", baseURL: `${losing}/v1`, apiKey: "any" });
  for (const name of ["One", "Two"]) {
    const request = {
      ...of("ai3"),
      model: lossy("layered"),
      prompt: `${name}.`,
      headers: { "Idempotency-Key": name },
    };
    await assert.rejects(generateText(request), APICallError);
    const { text } = await generateText(request);
    assert.deepEqual((await transcripts("ai3"))[0], [`${name}.`, text]);
  }
  assert.equal((await transcripts("ai3")).length, 2);
});
