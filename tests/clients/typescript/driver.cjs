/* Drives the official TypeScript client for the tests: each line in is an operation, each line out what came of it.

       node driver.cjs VERSION    beta or v2024

   NODE_PATH says where the client is installed. `clients.py` says what goes in and out. */

const { File } = require("node:buffer");
const { createInterface } = require("node:readline");
const sdk = require("sailpoint-api-client");

// The client writes about its doings where our answers go.
console.log = console.error;

const version = process.argv[2];
const suffix = version[0].toUpperCase() + version.slice(1);

// Which API has the operation, under which name, and how it calls the id.
const METHODS = {
  "list": ["TaskManagement", "getTaskStatusList"],
  "get": ["TaskManagement", "getTaskStatus", "id"],
  "update": ["TaskManagement", "updateTaskStatus", "id"],
  "pending": ["TaskManagement", "getPendingTasks"],
  "pending headers": ["TaskManagement", "getPendingTaskHeaders"],
  "load accounts": ["Sources", "importAccounts", version === "beta" ? "sourceId" : "id"],
  "load entitlements": ["Sources", "importEntitlements", "sourceId"],
  "aggregate entitlements": ["Entitlements", "importEntitlementsBySource", "id"],
};

let configuration;

// The server is known from the SAIL_* variables alone. Version v2024 of the client sends its header by itself.
function connect({ environment }) {
  Object.assign(process.env, environment);
  configuration = new sdk.Configuration();
  configuration.experimental = true;
  return {};
}

// The arguments as the client takes them.
function spelled({ id, patch, file, csvFile, ...others }, idName) {
  if (id !== undefined) others[idName] = id;
  if (patch !== undefined) others[`jsonPatchOperation${suffix}`] = patch;
  if (file !== undefined) others.file = new File([file.text], file.name);
  if (csvFile !== undefined) others.csvFile = new File([csvFile.text], csvFile.name);
  return others;
}

async function call(operation, args) {
  const { operation: paged, ...rest } = args;
  const [api, name, idName] = METHODS[paged ?? operation];
  const client = new sdk[`${api}${suffix}Api`](configuration);
  const given = spelled(rest, idName);
  try {
    const answer = paged
      ? await sdk.Paginator.paginate(client, client[name], { ...given, limit: 1000 }, given.limit)
      : await client[name](given);
    return { status: answer.status, headers: { ...answer.headers }, body: answer.data };
  } catch (refusal) {
    if (!refusal.response) throw refusal;
    const { status, headers, data } = refusal.response;
    return { status, headers: { ...headers }, body: data, is_refused: true };
  }
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    const { operation, arguments: args } = JSON.parse(line);
    let answer;
    try {
      answer = operation === "connect" ? connect(args) : await call(operation, args);
    } catch (fault) {
      answer = { fault: String(fault.stack ?? fault) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}

main();
