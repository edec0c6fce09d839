-- CreateSearch
CREATE VIEW "_lamdb_search_Article_rows" AS SELECT
  t."id" AS docid,
  t."title" AS "title",
  t."body" AS "body",
  (SELECT group_concat(v, char(10)) FROM (SELECT h2."name" AS v FROM "_ArticleToTag" h1, "Tag" h2 WHERE h1."A" = t."id" AND h2."id" = h1."B" AND h2."name" IS NOT NULL ORDER BY h2.rowid, h1.rowid)) AS "tags_name",
  (SELECT h1."name" FROM "Author" h1 WHERE h1."id" = t."authorId") AS "author_name",
  (SELECT json_group_array(v) FROM (SELECT h2."name" AS v FROM "_ArticleToTag" h1, "Tag" h2 WHERE h1."A" = t."id" AND h2."id" = h1."B" AND h2."name" IS NOT NULL ORDER BY h2.rowid, h1.rowid)) AS "tags_name_values",
  t."views" AS "views"
FROM "Article" t;
CREATE VIRTUAL TABLE "Article_search" USING fts5("title", "body", "tags_name", "author_name", content='_lamdb_search_Article_rows', content_rowid='docid', tokenize='porter unicode61 remove_diacritics 2');
CREATE TABLE "_lamdb_search_Article_side" (docid INTEGER PRIMARY KEY, "tags_name_values", "author_name", "views");
CREATE TABLE "_lamdb_search_Article_pending" (docid INTEGER PRIMARY KEY, indexed INTEGER NOT NULL, "title", "body", "tags_name", "author_name");
CREATE TRIGGER "Article_search_apply" AFTER DELETE ON "_lamdb_search_Article_pending" BEGIN
  INSERT INTO "Article_search" ("Article_search", rowid, "title", "body", "tags_name", "author_name") SELECT 'delete', old.docid, old."title", old."body", old."tags_name", old."author_name" WHERE old.indexed;
  INSERT INTO "Article_search" (rowid, "title", "body", "tags_name", "author_name") SELECT docid, "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid = old.docid;
  DELETE FROM "_lamdb_search_Article_side" WHERE docid = old.docid;
  INSERT INTO "_lamdb_search_Article_side" ("docid", "tags_name_values", "author_name", "views") SELECT "docid", "tags_name_values", "author_name", "views" FROM "_lamdb_search_Article_rows" WHERE docid = old.docid;
END;
CREATE TRIGGER "Article_search_bi" BEFORE INSERT ON "Article" BEGIN
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387904;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387904, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t WHERE t."id" = new."id" AND new."id" <> -1 UNION ALL SELECT t."id" FROM "Article" t WHERE t."slug" = new."slug");
END;
CREATE TRIGGER "Article_search_ai" AFTER INSERT ON "Article" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Article" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387904;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT new."id", 0 WHERE new."id" NOT IN (SELECT docid FROM "_lamdb_search_Article_pending") AND new."id" NOT IN (SELECT id FROM "Article_search_docsize");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_bu" BEFORE UPDATE OF "authorId", "body", "id", "slug", "title" ON "Article" WHEN old."authorId" IS NOT new."authorId" OR old."body" IS NOT new."body" OR old."id" IS NOT new."id" OR old."slug" IS NOT new."slug" OR old."title" IS NOT new."title" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT old."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387904;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387904, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t WHERE t."id" = new."id" AND new."id" <> -1 AND t."id" <> old."id" UNION ALL SELECT t."id" FROM "Article" t WHERE t."slug" = new."slug" AND t."id" <> old."id");
END;
CREATE TRIGGER "Article_search_au" AFTER UPDATE OF "authorId", "body", "id", "slug", "title" ON "Article" WHEN old."authorId" IS NOT new."authorId" OR old."body" IS NOT new."body" OR old."id" IS NOT new."id" OR old."slug" IS NOT new."slug" OR old."title" IS NOT new."title" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Article" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387904;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_bm" BEFORE UPDATE ON "Article" WHEN old."id" <> new."id" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT old."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387904;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387904, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t WHERE t."id" = new."id" AND new."id" <> -1 AND t."id" <> old."id" UNION ALL SELECT t."id" FROM "Article" t WHERE t."slug" = new."slug" AND t."id" <> old."id");
END;
CREATE TRIGGER "Article_search_am" AFTER UPDATE ON "Article" WHEN old."id" <> new."id" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Article" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387904;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT new."id", 0 WHERE new."id" NOT IN (SELECT docid FROM "_lamdb_search_Article_pending") AND new."id" NOT IN (SELECT id FROM "Article_search_docsize");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_as" AFTER UPDATE OF "views" ON "Article" WHEN old."views" IS NOT new."views" BEGIN
  DELETE FROM "_lamdb_search_Article_side" WHERE docid IN (old."id", new."id");
  INSERT INTO "_lamdb_search_Article_side" ("docid", "tags_name_values", "author_name", "views") SELECT "docid", "tags_name_values", "author_name", "views" FROM "_lamdb_search_Article_rows" WHERE docid = new."id";
END;
CREATE TRIGGER "Article_search_bd" BEFORE DELETE ON "Article" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT old."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
END;
CREATE TRIGGER "Article_search_ad" AFTER DELETE ON "Article" BEGIN
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_1_bi" BEFORE INSERT ON "_ArticleToTag" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t WHERE t."id" = new."A") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387905;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387905, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t, "_ArticleToTag" r WHERE t."id" = r."A" AND r."A" = new."A" AND r."B" = new."B");
END;
CREATE TRIGGER "Article_search_1_ai" AFTER INSERT ON "_ArticleToTag" BEGIN
  SELECT RAISE(ABORT, 'Rows of "_ArticleToTag" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387905;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_1_bu" BEFORE UPDATE OF "A", "B" ON "_ArticleToTag" WHEN old."A" IS NOT new."A" OR old."B" IS NOT new."B" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t WHERE t."id" = old."A" UNION SELECT t."id" FROM "Article" t WHERE t."id" = new."A") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387905;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387905, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t, "_ArticleToTag" r WHERE t."id" = r."A" AND r."A" = new."A" AND r."B" = new."B" AND r.rowid <> old.rowid);
END;
CREATE TRIGGER "Article_search_1_au" AFTER UPDATE OF "A", "B" ON "_ArticleToTag" WHEN old."A" IS NOT new."A" OR old."B" IS NOT new."B" BEGIN
  SELECT RAISE(ABORT, 'Rows of "_ArticleToTag" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387905;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_1_bd" BEFORE DELETE ON "_ArticleToTag" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t WHERE t."id" = old."A") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
END;
CREATE TRIGGER "Article_search_1_ad" AFTER DELETE ON "_ArticleToTag" BEGIN
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_2_bi" BEFORE INSERT ON "Tag" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t, "_ArticleToTag" h1 WHERE h1."A" = t."id" AND h1."B" = new."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387906;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387906, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t, "_ArticleToTag" h1, "Tag" r WHERE h1."A" = t."id" AND h1."B" = r."id" AND r."id" = new."id" UNION ALL SELECT t."id" FROM "Article" t, "_ArticleToTag" h1, "Tag" r WHERE h1."A" = t."id" AND h1."B" = r."id" AND r."name" = new."name");
END;
CREATE TRIGGER "Article_search_2_ai" AFTER INSERT ON "Tag" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Tag" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387906;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_2_bu" BEFORE UPDATE OF "id", "name" ON "Tag" WHEN old."id" IS NOT new."id" OR old."name" IS NOT new."name" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t, "_ArticleToTag" h1 WHERE h1."A" = t."id" AND h1."B" = old."id" UNION SELECT t."id" FROM "Article" t, "_ArticleToTag" h1 WHERE h1."A" = t."id" AND h1."B" = new."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387906;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387906, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t, "_ArticleToTag" h1, "Tag" r WHERE h1."A" = t."id" AND h1."B" = r."id" AND r."id" = new."id" AND r.rowid <> old.rowid UNION ALL SELECT t."id" FROM "Article" t, "_ArticleToTag" h1, "Tag" r WHERE h1."A" = t."id" AND h1."B" = r."id" AND r."name" = new."name" AND r.rowid <> old.rowid);
END;
CREATE TRIGGER "Article_search_2_au" AFTER UPDATE OF "id", "name" ON "Tag" WHEN old."id" IS NOT new."id" OR old."name" IS NOT new."name" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Tag" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387906;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_2_bd" BEFORE DELETE ON "Tag" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t, "_ArticleToTag" h1 WHERE h1."A" = t."id" AND h1."B" = old."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
END;
CREATE TRIGGER "Article_search_2_ad" AFTER DELETE ON "Tag" BEGIN
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_3_bi" BEFORE INSERT ON "Author" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t WHERE t."authorId" = new."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387907;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387907, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t, "Author" r WHERE t."authorId" = r."id" AND r."id" = new."id" UNION ALL SELECT t."id" FROM "Article" t, "Author" r WHERE t."authorId" = r."id" AND r."email" = new."email");
END;
CREATE TRIGGER "Article_search_3_ai" AFTER INSERT ON "Author" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Author" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387907;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_3_bu" BEFORE UPDATE OF "email", "id", "name" ON "Author" WHEN old."email" IS NOT new."email" OR old."id" IS NOT new."id" OR old."name" IS NOT new."name" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t WHERE t."authorId" = old."id" UNION SELECT t."id" FROM "Article" t WHERE t."authorId" = new."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387907;
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed) SELECT -4611686018427387907, 0 WHERE EXISTS (SELECT t."id" FROM "Article" t, "Author" r WHERE t."authorId" = r."id" AND r."id" = new."id" AND r.rowid <> old.rowid UNION ALL SELECT t."id" FROM "Article" t, "Author" r WHERE t."authorId" = r."id" AND r."email" = new."email" AND r.rowid <> old.rowid);
END;
CREATE TRIGGER "Article_search_3_au" AFTER UPDATE OF "email", "id", "name" ON "Author" WHEN old."email" IS NOT new."email" OR old."id" IS NOT new."id" OR old."name" IS NOT new."name" BEGIN
  SELECT RAISE(ABORT, 'Rows of "Author" are searched with their relations and cannot be replaced: write ON CONFLICT ... DO UPDATE instead of REPLACE') FROM "_lamdb_search_Article_pending" WHERE docid = -4611686018427387907;
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
CREATE TRIGGER "Article_search_3_bd" BEFORE DELETE ON "Author" BEGIN
  INSERT INTO "_lamdb_search_Article_pending" (docid, indexed, "title", "body", "tags_name", "author_name") SELECT docid, docid IN (SELECT id FROM "Article_search_docsize"), "title", "body", "tags_name", "author_name" FROM "_lamdb_search_Article_rows" WHERE docid IN (SELECT t."id" FROM "Article" t WHERE t."authorId" = old."id") AND docid NOT IN (SELECT docid FROM "_lamdb_search_Article_pending");
END;
CREATE TRIGGER "Article_search_3_ad" AFTER DELETE ON "Author" BEGIN
  DELETE FROM "_lamdb_search_Article_pending" WHERE docid > -4611686018427387904;
END;
INSERT INTO "Article_search" ("Article_search", rank) SELECT 'pgsz', page_size - 50 FROM pragma_page_size;
INSERT INTO "Article_search" ("Article_search", rank) VALUES ('automerge', 0);
INSERT INTO "Article_search" ("Article_search", rank) VALUES ('crisismerge', 64);
DELETE FROM "_lamdb_search_Article_side";
INSERT INTO "_lamdb_search_Article_side" ("docid", "tags_name_values", "author_name", "views") SELECT "docid", "tags_name_values", "author_name", "views" FROM "_lamdb_search_Article_rows" ORDER BY docid;
INSERT INTO "Article_search" ("Article_search", rank) VALUES ('hashsize', 67108864);
INSERT INTO "Article_search" ("Article_search") VALUES ('rebuild');
INSERT INTO "Article_search" ("Article_search", rank) VALUES ('hashsize', 1048576);
