-- CreateTable
CREATE TABLE "Snapshot" (
    "digest" TEXT NOT NULL PRIMARY KEY,
    "startedAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finishedAt" DATETIME
);

-- CreateTable
CREATE TABLE "Section" (
    "name" TEXT NOT NULL PRIMARY KEY
);

-- CreateTable
CREATE TABLE "Maintainer" (
    "email" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "Target" (
    "name" TEXT NOT NULL PRIMARY KEY,
    "kind" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "Package" (
    "name" TEXT NOT NULL PRIMARY KEY,
    "version" TEXT NOT NULL,
    "architecture" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "summary" TEXT NOT NULL,
    "homepage" TEXT,
    "priority" TEXT NOT NULL,
    "essential" BOOLEAN NOT NULL DEFAULT false,
    "downloadSize" INTEGER,
    "installedSize" INTEGER,
    "sectionName" TEXT NOT NULL,
    "maintainerEmail" TEXT NOT NULL,
    CONSTRAINT "Package_name_fkey" FOREIGN KEY ("name") REFERENCES "Target" ("name") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "Package_sectionName_fkey" FOREIGN KEY ("sectionName") REFERENCES "Section" ("name") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "Package_maintainerEmail_fkey" FOREIGN KEY ("maintainerEmail") REFERENCES "Maintainer" ("email") ON DELETE RESTRICT ON UPDATE CASCADE
);

-- CreateTable
CREATE TABLE "Tag" (
    "name" TEXT NOT NULL PRIMARY KEY,
    "facet" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "PackageTag" (
    "packageName" TEXT NOT NULL,
    "tagName" TEXT NOT NULL,

    PRIMARY KEY ("packageName", "tagName"),
    CONSTRAINT "PackageTag_packageName_fkey" FOREIGN KEY ("packageName") REFERENCES "Package" ("name") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "PackageTag_tagName_fkey" FOREIGN KEY ("tagName") REFERENCES "Tag" ("name") ON DELETE RESTRICT ON UPDATE CASCADE
);

-- CreateTable
CREATE TABLE "Dependency" (
    "packageName" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "clause" INTEGER NOT NULL,
    "alternative" INTEGER NOT NULL,
    "targetName" TEXT NOT NULL,
    "architecture" TEXT,
    "comparison" TEXT,
    "version" TEXT,

    PRIMARY KEY ("packageName", "kind", "clause", "alternative"),
    CONSTRAINT "Dependency_packageName_fkey" FOREIGN KEY ("packageName") REFERENCES "Package" ("name") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "Dependency_targetName_fkey" FOREIGN KEY ("targetName") REFERENCES "Target" ("name") ON DELETE RESTRICT ON UPDATE CASCADE
);

-- CreateTable
CREATE TABLE "Provision" (
    "packageName" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "targetName" TEXT NOT NULL,
    "version" TEXT,

    PRIMARY KEY ("packageName", "position"),
    CONSTRAINT "Provision_packageName_fkey" FOREIGN KEY ("packageName") REFERENCES "Package" ("name") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "Provision_targetName_fkey" FOREIGN KEY ("targetName") REFERENCES "Target" ("name") ON DELETE RESTRICT ON UPDATE CASCADE
);

-- CreateIndex
CREATE INDEX "Target_kind_idx" ON "Target"("kind");

-- CreateIndex
CREATE INDEX "Package_sectionName_idx" ON "Package"("sectionName");

-- CreateIndex
CREATE INDEX "Package_maintainerEmail_idx" ON "Package"("maintainerEmail");

-- CreateIndex
CREATE INDEX "Package_source_idx" ON "Package"("source");

-- CreateIndex
CREATE INDEX "Tag_facet_idx" ON "Tag"("facet");

-- CreateIndex
CREATE INDEX "PackageTag_tagName_idx" ON "PackageTag"("tagName");

-- CreateIndex
CREATE INDEX "Dependency_targetName_kind_idx" ON "Dependency"("targetName", "kind");

-- CreateIndex
CREATE INDEX "Provision_targetName_idx" ON "Provision"("targetName");
