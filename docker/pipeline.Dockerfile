# The pipeline as a job; docker-compose.yml has its command.
FROM python:3.13-slim
COPY requirements/pipeline.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes -r pipeline.txt
WORKDIR /app
COPY components components
COPY pipeline pipeline
COPY serving serving
COPY tuner tuner
# The job runs as the owner of ./runs (docker-compose.yml), who has no home in the image. Keras and Kaggle therefore keep
# their downloads in /cache, in one folder per user. A new volume takes the mode of /cache, so that any user can create one.
RUN useradd --uid 10001 --no-create-home pilah && install -d -o pilah runs && install -d -m 1777 /cache
USER pilah
ENTRYPOINT ["sh", "-c", "export HOME=/cache/$(id -u) && mkdir -p $HOME && exec python -m pipeline \"$@\"", "pipeline"]
