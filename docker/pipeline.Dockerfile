# The pipeline as a job: docker compose run --rm pipeline run --run-dir runs/thesis --images /photos/garbage.zip
FROM python:3.13-slim
COPY requirements/pipeline.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes -r pipeline.txt
WORKDIR /app
COPY components components
COPY pipeline pipeline
COPY report report
COPY serving serving
COPY tuner tuner
RUN useradd --uid 10001 --create-home pilah && install -d -o pilah runs
USER pilah
ENTRYPOINT ["python", "-m", "pipeline"]
