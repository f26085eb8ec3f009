"use strict";

const base = location.pathname.replace(/\/docs\/.*$/, "");
const apis = {
  "/external-api": { versions: ["v1", "v2"], client: "55555555-5555-4555-8555-555555555555" },
  "/internal-api": { versions: ["v1", "v2"], client: "66666666-6666-4666-8666-666666666666" },
  "/partner-api": { versions: ["v1"], client: "" },
};
const { versions, client } = apis[base];

const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", dress);
dress();

const ui = SwaggerUIBundle({
  domNode: document.getElementById("portal"),
  urls: versions.map((version) => ({ name: version, url: `${base}/docs/${version}/openapi.json` })),
  layout: "StandaloneLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  oauth2RedirectUrl: `${location.origin}${base}/docs/oauth2-redirect.html`,
  validatorUrl: null,
});
ui.initOAuth({ clientId: client, usePkceWithAuthorizationCodeGrant: true });
