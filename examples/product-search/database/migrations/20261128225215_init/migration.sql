-- CreateTable
CREATE TABLE "Product" (
    "sku" TEXT NOT NULL PRIMARY KEY,
    "title" TEXT NOT NULL,
    "description" TEXT NOT NULL DEFAULT '',
    "brand" TEXT NOT NULL,
    "category" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "price" REAL NOT NULL,
    "rating" INTEGER NOT NULL DEFAULT 0,
    "available" BOOLEAN NOT NULL DEFAULT true,
    "sold" INTEGER NOT NULL DEFAULT 0
);

-- CreateSearch
CREATE VIEW "_lamdb_search_Product_rows" AS SELECT
  t."rowid" AS docid,
  t."title" AS "title",
  t."brand" AS "brand",
  t."description" AS "description",
  t."category" AS "category",
  t."kind" AS "kind",
  t."price" AS "price",
  t."rating" AS "rating",
  t."available" AS "available",
  t."sold" AS "sold"
FROM "Product" t;
CREATE VIRTUAL TABLE "Product_search" USING fts5("title", "brand", "description", content='_lamdb_search_Product_rows', content_rowid='docid', tokenize='porter unicode61 remove_diacritics 2');
CREATE TABLE "_lamdb_search_Product_side" (docid INTEGER PRIMARY KEY, "category", "kind", "brand", "price", "rating", "available", "sold");
CREATE TABLE "_lamdb_search_Product_pending" (docid INTEGER PRIMARY KEY, indexed INTEGER NOT NULL, "title", "brand", "description");
CREATE TRIGGER "Product_search_apply" AFTER DELETE ON "_lamdb_search_Product_pending" BEGIN
  INSERT INTO "Product_search" ("Product_search", rowid, "title", "brand", "description") SELECT 'delete', old.docid, old."title", old."brand", old."description" WHERE old.indexed;
  INSERT INTO "Product_search" (rowid, "title", "brand", "description") SELECT docid, "title", "brand", "description" FROM "_lamdb_search_Product_rows" WHERE docid = old.docid;
  DELETE FROM "_lamdb_search_Product_side" WHERE docid = old.docid;
  INSERT INTO "_lamdb_search_Product_side" ("docid", "category", "kind", "brand", "price", "rating", "available", "sold") SELECT "docid", "category", "kind", "brand", "price", "rating", "available", "sold" FROM "_lamdb_search_Product_rows" WHERE docid = old.docid;
END;
CREATE TRIGGER "Product_search_bi" BEFORE INSERT ON "Product" BEGIN
  INSERT INTO "_lamdb_search_Product_pending" (docid, indexed, "title", "brand", "description") SELECT docid, docid IN (SELECT id FROM "Product_search_docsize"), "title", "brand", "description" FROM "_lamdb_search_Product_rows" WHERE docid IN (SELECT t."rowid" FROM "Product" t WHERE t."rowid" = new."rowid" UNION SELECT t."rowid" FROM "Product" t WHERE t."sku" = new."sku") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Product_pending");
END;
CREATE TRIGGER "Product_search_ai" AFTER INSERT ON "Product" BEGIN
  INSERT INTO "_lamdb_search_Product_pending" (docid, indexed) SELECT new."rowid", 0 WHERE new."rowid" NOT IN (SELECT docid FROM "_lamdb_search_Product_pending") AND new."rowid" NOT IN (SELECT id FROM "Product_search_docsize");
  DELETE FROM "_lamdb_search_Product_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Product_search_bu" BEFORE UPDATE OF "brand", "description", "sku", "title" ON "Product" WHEN old."brand" IS NOT new."brand" OR old."description" IS NOT new."description" OR old."sku" IS NOT new."sku" OR old."title" IS NOT new."title" BEGIN
  INSERT INTO "_lamdb_search_Product_pending" (docid, indexed, "title", "brand", "description") SELECT docid, docid IN (SELECT id FROM "Product_search_docsize"), "title", "brand", "description" FROM "_lamdb_search_Product_rows" WHERE docid IN (SELECT old."rowid" UNION SELECT t."rowid" FROM "Product" t WHERE t."rowid" = new."rowid" AND t."rowid" <> old."rowid" UNION SELECT t."rowid" FROM "Product" t WHERE t."sku" = new."sku" AND t."rowid" <> old."rowid") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Product_pending");
END;
CREATE TRIGGER "Product_search_au" AFTER UPDATE OF "brand", "description", "sku", "title" ON "Product" WHEN old."brand" IS NOT new."brand" OR old."description" IS NOT new."description" OR old."sku" IS NOT new."sku" OR old."title" IS NOT new."title" BEGIN
  DELETE FROM "_lamdb_search_Product_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Product_search_bm" BEFORE UPDATE ON "Product" WHEN old."rowid" <> new."rowid" BEGIN
  INSERT INTO "_lamdb_search_Product_pending" (docid, indexed, "title", "brand", "description") SELECT docid, docid IN (SELECT id FROM "Product_search_docsize"), "title", "brand", "description" FROM "_lamdb_search_Product_rows" WHERE docid IN (SELECT old."rowid" UNION SELECT t."rowid" FROM "Product" t WHERE t."rowid" = new."rowid" AND t."rowid" <> old."rowid" UNION SELECT t."rowid" FROM "Product" t WHERE t."sku" = new."sku" AND t."rowid" <> old."rowid") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Product_pending");
END;
CREATE TRIGGER "Product_search_am" AFTER UPDATE ON "Product" WHEN old."rowid" <> new."rowid" BEGIN
  INSERT INTO "_lamdb_search_Product_pending" (docid, indexed) SELECT new."rowid", 0 WHERE new."rowid" NOT IN (SELECT docid FROM "_lamdb_search_Product_pending") AND new."rowid" NOT IN (SELECT id FROM "Product_search_docsize");
  DELETE FROM "_lamdb_search_Product_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Product_search_as" AFTER UPDATE OF "available", "category", "kind", "price", "rating", "sold" ON "Product" WHEN old."available" IS NOT new."available" OR old."category" IS NOT new."category" OR old."kind" IS NOT new."kind" OR old."price" IS NOT new."price" OR old."rating" IS NOT new."rating" OR old."sold" IS NOT new."sold" BEGIN
  DELETE FROM "_lamdb_search_Product_side" WHERE docid IN (old."rowid", new."rowid");
  INSERT INTO "_lamdb_search_Product_side" ("docid", "category", "kind", "brand", "price", "rating", "available", "sold") SELECT "docid", "category", "kind", "brand", "price", "rating", "available", "sold" FROM "_lamdb_search_Product_rows" WHERE docid = new."rowid";
END;
CREATE TRIGGER "Product_search_bd" BEFORE DELETE ON "Product" BEGIN
  INSERT INTO "_lamdb_search_Product_pending" (docid, indexed, "title", "brand", "description") SELECT docid, docid IN (SELECT id FROM "Product_search_docsize"), "title", "brand", "description" FROM "_lamdb_search_Product_rows" WHERE docid IN (SELECT old."rowid") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Product_pending");
END;
CREATE TRIGGER "Product_search_ad" AFTER DELETE ON "Product" BEGIN
  DELETE FROM "_lamdb_search_Product_pending" WHERE docid > -4611686018427387904;
END;
INSERT INTO "Product_search" ("Product_search", rank) SELECT 'pgsz', page_size - 50 FROM pragma_page_size;
INSERT INTO "Product_search" ("Product_search", rank) VALUES ('automerge', 0);
INSERT INTO "Product_search" ("Product_search", rank) VALUES ('crisismerge', 64);
DELETE FROM "_lamdb_search_Product_side";
INSERT INTO "_lamdb_search_Product_side" ("docid", "category", "kind", "brand", "price", "rating", "available", "sold") SELECT "docid", "category", "kind", "brand", "price", "rating", "available", "sold" FROM "_lamdb_search_Product_rows" ORDER BY docid;
INSERT INTO "Product_search" ("Product_search", rank) VALUES ('hashsize', 67108864);
INSERT INTO "Product_search" ("Product_search") VALUES ('rebuild');
INSERT INTO "Product_search" ("Product_search", rank) VALUES ('hashsize', 1048576);
