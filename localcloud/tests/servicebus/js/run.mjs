// Runs features of @azure/service-bus against a broker: `node run.mjs PACKAGES CONNECTION FILE...`.
//
// Each FILE exports `features`, which maps a name to an async function; what that returns is
// printed as one line of JSON, {"feature", "seen"}, or {"feature", "error"} when it throws.
// All of them run at once, so each has entities of its own.
import { createRequire } from "node:module";

const [packages, connection, ...files] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const sdk = require("@azure/service-bus");
const rhea = require("rhea-promise");
const Long = require("long");
const retryOptions = { maxRetries: 0, timeoutInMs: 20_000 };
const client = new sdk.ServiceBusClient(connection, { retryOptions });

const context = { sdk, rhea, Long, connection, client, retryOptions, receive, refusal, until };

// Exactly `count` messages, in order.
async function receive(receiver, count) {
  const messages = [];
  const deadline = Date.now() + 30_000;
  while (messages.length < count && Date.now() < deadline) {
    messages.push(...(await receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: 2_000 })));
  }
  if (messages.length !== count) throw new Error(`${messages.length} of ${count} messages came`);
  return messages;
}

// The code (or else the name) of the error with which the call fails.
async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return error.code ?? error.name;
  }
  return "nothing was refused";
}

// Waits for a condition, which may be asynchronous.
async function until(condition) {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("it did not come about in time");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function report(feature, run) {
  try {
    console.log(JSON.stringify({ feature, seen: await run(context) }));
  } catch (error) {
    console.log(JSON.stringify({ feature, error: `${error.code ?? error.name}: ${error.stack}` }));
  }
}

const modules = await Promise.all(files.map((file) => import(file)));
const features = modules.flatMap((module) => Object.entries(module.features));
await Promise.all(features.map(([feature, run]) => report(feature, run)));
await client.close();
process.exit(0);
