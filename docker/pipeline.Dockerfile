# The pipeline as a job: docker-compose.yml says how to run it.
FROM python:3.13-slim
COPY requirements/pipeline.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes -r pipeline.txt
WORKDIR /app
COPY components components
COPY pipeline pipeline
COPY serving serving
COPY tuner tuner
# The job runs as whoever owns ./runs (docker-compose.yml), who has no home here: Keras and Kaggle keep what they fetch in
# /cache, each user in a folder of their own, as nobody else could write to it. A volume laid over /cache takes its mode,
# so that any user may make one.
RUN useradd --uid 10001 --no-create-home pilah && install -d -o pilah runs && install -d -m 1777 /cache
USER pilah
ENTRYPOINT ["sh", "-c", "export HOME=/cache/$(id -u) && mkdir -p $HOME && exec python -m pipeline \"$@\"", "pipeline"]
