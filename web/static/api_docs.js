// Shows the description of the API with Swagger UI, in the colours that the browser prefers.
"use strict";

const container = document.getElementById("swagger-ui");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const setColours = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setColours);
setColours();
SwaggerUIBundle({
  domNode: container,
  url: container.dataset.description,
  validatorUrl: null, // it is on another host
  defaultModelsExpandDepth: 0,
  // The page already shows the title and the introduction, and there is only one server.
  plugins: [() => ({ components: { InfoContainer: () => null, ServersContainer: () => null } })],
});
