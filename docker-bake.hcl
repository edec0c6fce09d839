# The image for both processors: `docker buildx bake`, or `docker buildx bake --push` to a registry.
variable "LAMDB_IMAGE" {
  default = "lamdb"
}

target "default" {
  context   = "."
  tags      = [LAMDB_IMAGE]
  platforms = ["linux/amd64", "linux/arm64"]
}
