# An environment of RKLLM-Toolkit for quern's workers. The vendor's wheel is yours: it lies in the folder that the
# image is built from, and nowhere else.
#
#   docker build -f docker/rkllm.Dockerfile --build-arg TOOLKIT=1.2.3 -t quern-rkllm:1.2.3 FOLDER_WITH_THE_WHEEL
#
# Then in jobs.yaml:  engines: {rkllm: {environments: [{container: quern-rkllm:1.2.3}]}}
#
# PYTHON has to be one that the wheel is made for: 3.8 for toolkit 1.1.0, 3.8 or 3.10 for 1.1.x, 3.8 to 3.12 for 1.2.0 to
# 1.2.2, 3.9 to 3.12 from 1.2.3 on. Only for amd64 and glibc. The worker's program is quern's own and is mounted when it runs.
ARG PYTHON=3.10
FROM docker.io/library/python:${PYTHON}-slim-bookworm
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 libgl1 libglib2.0-0 >/dev/null \
	&& rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
ARG TOOLKIT=1.2.3
# "table": what the vendor's requirements of this version name (docs/rkllm.md). Else your own list, as for RWKV7:
# PINS="transformers==4.51.3 rwkv-fla==0.7.202503140658" with PYTHON=3.12.
ARG PINS=table
# The wheel's own metadata may pull other versions, so the pins come a second time.
RUN --mount=type=bind,target=/context set -eu; \
	new="torch==2.6.0 torchvision==0.21.0 auto_gptq==0.7.1 optimum==1.23.3 datasets==4.1.1 numpy<=1.26.4"; \
	new="$new protobuf<=4.25.4 sentencepiece==0.2.0 accelerate<=1.5.2"; \
	pins=$PINS; \
	if [ "$PINS" = table ]; then case $TOOLKIT in \
		1.1.0 | 1.1.1 | 1.1.2 | 1.1.3 | 1.1.4 | 1.2.0) pins= ;; \
		1.2.1) pins="torch==2.3.0 transformers==4.51.3" ;; \
		1.2.2 | 1.2.3) pins="$new transformers==4.55.2" ;; \
		1.3.0) pins="$new transformers==5.8.0" ;; \
		*) echo "no pins are known for toolkit $TOOLKIT; give PINS" >&2; exit 1 ;; \
	esac; fi; \
	tag=$(python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])'); \
	wheel=; \
	for file in /context/rkllm_toolkit-"$TOOLKIT"-"$tag"-*.whl /context/rkllm_toolkit-"$TOOLKIT"[-+]*-py3-none-any.whl; do \
		if [ -e "$file" ]; then wheel=$file; fi; \
	done; \
	if [ -z "$wheel" ]; then \
		echo "no rkllm_toolkit-$TOOLKIT-$tag-*.whl in the folder; PYTHON has to be one that the wheel is for" >&2; exit 1; \
	fi; \
	python3 -m venv /opt/rkllm; \
	BUILD_CUDA_EXT=0 /opt/rkllm/bin/pip install -q --no-cache-dir 'setuptools<81' $pins "$wheel"; \
	if [ -n "$pins" ]; then /opt/rkllm/bin/pip install -q --no-cache-dir 'setuptools<81' $pins; fi; \
	/opt/rkllm/bin/python3 -c "import importlib.metadata as m; print('rkllm_toolkit', m.version('rkllm_toolkit'))"
ENV PATH=/opt/rkllm/bin:/usr/local/bin:/usr/bin:/bin
LABEL io.quern.toolkit=${TOOLKIT}
USER 10001:10001
ENTRYPOINT ["python3"]
