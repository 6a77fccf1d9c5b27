#!/usr/bin/env bash
# Install Nextflow with Maven: FOLDER/nextflow-VERSION/*.jar and the launcher FOLDER/bin/nextflow.
# usage: scripts/install-nextflow.sh FOLDER
# Idempotent, and atomic: a folder that bears the version's name is complete.
set -euo pipefail
folder=${1:?usage: install-nextflow.sh FOLDER}
# The `lint` of 25.04.4 crashes on a file that has only errors or only warnings.
version=25.04.3
# Two of its parts are published for Maven at neighbouring versions only. commons and httpfs are the same code in both;
# lang differs in the signatures of workflow outputs, which this pipeline does not use.
commons_version=25.04.4
lang_version=25.04.0

mkdir -p "$folder/bin"
folder=$(cd "$folder" && pwd)
jars=$folder/nextflow-$version

if [[ ! -d $jars ]]; then
    echo "Installing Nextflow $version into $folder" >&2
    staging=$(mktemp -d "$folder/nextflow-$version.XXXXXX")
    trap 'rm -rf "$staging"' EXIT
    cat >"$staging/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>nextflow-install</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencyManagement>
    <dependencies>
      <dependency><groupId>io.nextflow</groupId><artifactId>nf-lang</artifactId><version>$lang_version</version></dependency>
      <dependency><groupId>io.nextflow</groupId><artifactId>nf-commons</artifactId><version>$commons_version</version></dependency>
      <dependency><groupId>io.nextflow</groupId><artifactId>nf-httpfs</artifactId><version>$commons_version</version></dependency>
    </dependencies>
  </dependencyManagement>
  <dependencies>
    <dependency>
      <groupId>io.nextflow</groupId>
      <artifactId>nextflow</artifactId>
      <version>$version</version>
      <exclusions>
        <!-- not published, and no class of it is used by the core -->
        <exclusion><groupId>io.seqera</groupId><artifactId>lib-trace</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency><groupId>org.apache.ivy</groupId><artifactId>ivy</artifactId><version>2.5.2</version></dependency>
  </dependencies>
</project>
POM
    mvn --batch-mode --quiet --no-transfer-progress -Dstyle.color=never --file "$staging/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$staging/jars" 2>&1 | sed $'s/\033\\[[0-9;]*m//g; /^$/d'
    mv "$staging/jars" "$jars"
fi

launcher=$(mktemp "$folder/bin/nextflow.XXXXXX")
cat >"$launcher" <<LAUNCHER
#!/usr/bin/env bash
# Nextflow $version from the jars beside this file
set -euo pipefail
folder=\$(cd "\$(dirname "\$(readlink -f "\${BASH_SOURCE[0]}")")/.." && pwd)
java=\${JAVA_CMD:-\${JAVA_HOME:+\$JAVA_HOME/bin/java}}
export NXF_HOME=\${NXF_HOME:-\$folder/nextflow-home}
# Neither updates nor plugins are looked for on the net: none is needed.
export NXF_OFFLINE=\${NXF_OFFLINE:-true}
export NXF_DISABLE_CHECK_LATEST=true
export NXF_PLUGINS_DEFAULT=\${NXF_PLUGINS_DEFAULT:-false}
export NXF_CLI="\${NXF_CLI:-\$0 \$*}"
options=(-Dfile.encoding=UTF-8 -Djava.awt.headless=true)
for package in java.io java.lang java.net java.nio java.nio.file.spi java.util java.util.concurrent.atomic \\
    java.util.concurrent.locks java.util.regex jdk.internal.misc jdk.internal.vm sun.net.www.protocol.file \\
    sun.net.www.protocol.ftp sun.net.www.protocol.http sun.net.www.protocol.https sun.nio.ch sun.nio.fs; do
    options+=("--add-opens=java.base/\$package=ALL-UNNAMED")
done
# As Nextflow's own launcher: a run whose /tmp is full needs another folder.
temporary=\${NXF_TEMP:-\${TMPDIR:-}}
[[ -z \$temporary ]] || options+=("-Djava.io.tmpdir=\$temporary")
# Lists of options, split at blanks on purpose
# shellcheck disable=SC2206
options+=(\${NXF_OPTS:-} \${NXF_JVM_ARGS:-})
exec "\${java:-java}" "\${options[@]}" -cp "\$folder/nextflow-$version/*" nextflow.cli.Launcher "\$@"
LAUNCHER
chmod 755 "$launcher"
mv "$launcher" "$folder/bin/nextflow"
