// Loaded into Azurite before its own code: keeps it small, and lets no acknowledged write get lost.
"use strict";

const http = require("node:http");
const https = require("node:https");
const Module = require("node:module");
const path = require("node:path");

// Azurite loads its SQL back end and its telemetry even where neither is used. Without them it
// starts in a third of the time and takes 70 MB less.
const UNUSED = { applicationinsights: {}, sequelize: { Model: class {} } };

const databases = [];

// Azurite keeps its records in LokiJS, which writes them to disk every five seconds. Here they are
// written before the answer that acknowledges them is sent, so nothing is left for a timer.
function remembering(Loki) {
  return class extends Loki {
    constructor(file, options) {
      super(file, { ...options, autosave: false });
      if (options.persistenceMethod === "fs") {
        databases.push(this);
      }
    }
  };
}

// Azurite takes tokens of Azure's own issuers; the local cloud's is another one.
const ISSUER = process.env.LOCALCLOUD_AZURITE_ISSUER;

function trusting(exported) {
  const issuers = exported?.VALID_ISSUE_PREFIXES;
  if (ISSUER && Array.isArray(issuers) && !issuers.includes(ISSUER)) {
    issuers.push(ISSUER);
  }
  return exported;
}

const load = Module._load;
let loki = null;
Module._load = function (name, ...rest) {
  if (Object.hasOwn(UNUSED, name)) {
    return UNUSED[name];
  }
  if (name === "lokijs") {
    return (loki ??= remembering(load.call(this, name, ...rest)));
  }
  return trusting(load.call(this, name, ...rest));
};

const isDirty = (database) => database.autosaveDirty();
const holdsExtents = (database) => path.basename(database.filename).includes("extent");

function write(database) {
  return new Promise((resolve, reject) => {
    database.saveDatabase((error) => {
      if (error) {
        // The library forgets what it failed to write.
        database.collections.forEach((collection) => (collection.dirty = true));
        reject(error);
      } else {
        resolve();
      }
    });
  });
}

async function writeAll() {
  // A record on disk must not name an extent that is not there: extents first, until none is new.
  for (;;) {
    const extents = databases.filter((database) => holdsExtents(database) && isDirty(database));
    if (extents.length === 0) {
      break;
    }
    await Promise.all(extents.map(write));
  }
  await Promise.all(databases.filter(isDirty).map(write));
}

let current = null;
let following = null;

// Resolves once all that was done before the call is on disk. Calls that come during a round of
// writing share the next one. Null when there is nothing to write.
function written() {
  if (current === null) {
    if (!databases.some(isDirty)) {
      return null;
    }
    current = writeAll().finally(() => (current = null));
    return current;
  }
  following ??= current
    .catch(() => {})
    .then(() => {
      following = null;
      return written();
    });
  return following;
}

// Holds the answer back until what it acknowledges is written; without one if it cannot be.
function hold(response) {
  const held = [];
  const { write: send, end } = response;
  response.write = (...chunk) => {
    held.push(chunk);
    return true;
  };
  response.end = (...last) => {
    const release = () => {
      held.forEach((chunk) => send.apply(response, chunk));
      end.apply(response, last);
    };
    const writing = written();
    if (writing === null) {
      release();
    } else {
      writing.then(release, (error) => {
        console.error(`What a request changed cannot be written to disk: ${error.message}`);
        response.destroy();
      });
    }
    return response;
  };
}

function changesSomething(request) {
  const reads = request.method === "GET" || request.method === "HEAD";
  // To receive messages is a GET, and hides them from others.
  return !reads || new URL(request.url, "http://localhost").pathname.endsWith("/messages");
}

for (const server of [http.Server.prototype, https.Server.prototype]) {
  const emit = server.emit;
  server.emit = function (event, request, response) {
    if (event === "request" && changesSomething(request)) {
      hold(response);
    }
    return emit.apply(this, arguments);
  };
}
