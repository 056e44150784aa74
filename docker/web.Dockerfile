# The web page: Flask under waitress, without TensorFlow. Build it from the repository's root (docker-compose.yml).
FROM python:3.13-slim AS packages
COPY requirements/web.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r web.txt

FROM python:3.13-slim
COPY --from=packages /venv /venv
WORKDIR /app
COPY components/__init__.py components/
COPY components/base/__init__.py components/base/rounding.py components/base/settings.py components/base/
COPY components/base/version.py components/base/
COPY components/data/__init__.py components/data/colour.py components/data/images.py components/data/
COPY components/data/decoding_process.py components/data/
COPY components/data/formats components/data/formats
COPY serving/__init__.py serving/answers.py serving/channel.py serving/process_limits.py serving/
COPY serving/client/*.py serving/client/
COPY serving/protos/*.py serving/protos/
COPY web web
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PILAH_DATA=/data
RUN useradd --uid 10001 --no-create-home pilah && install -d -o pilah /data
USER pilah
VOLUME /data
EXPOSE 8000
CMD ["sh", "-c", "flask --app web db upgrade && exec python -m web.server"]
