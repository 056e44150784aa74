# Stand-in for the image postgres: Debian's PostgreSQL with the names and settings of the official image.
FROM pilah-stand-in:postgres
COPY --chmod=755 docker-entrypoint.sh /usr/local/bin/
ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
