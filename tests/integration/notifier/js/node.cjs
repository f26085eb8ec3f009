// Commands in, a line of JSON each; what happens out, likewise. Argument: the node_modules folder.
const { createRequire } = require("node:module");
const readline = require("node:readline");
const { createDriver } = require("./driver.cjs");

const signalR = createRequire(`${process.argv[2]}/`)("@microsoft/signalr");
const run = createDriver(signalR, (event) => console.log(JSON.stringify(event)));
readline.createInterface({ input: process.stdin })
  .on("line", (line) => run(JSON.parse(line)))
  .on("close", () => process.exit(0));
