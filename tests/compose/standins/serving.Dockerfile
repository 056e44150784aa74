# Stand-in for TensorFlow Serving's image: the embedded server under the name of its program, as root.
ARG BASE
FROM ${BASE}
USER root
ARG PACKAGES
RUN pip install --no-cache-dir --no-deps ${PACKAGES}
COPY --chmod=755 tensorflow_model_server /usr/local/bin/
ENTRYPOINT ["tensorflow_model_server"]
