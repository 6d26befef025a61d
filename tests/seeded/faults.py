"""Faults that would lose rows, do them twice or falsify numbers, and the tests that must catch each."""

from dataclasses import dataclass

CONFORMANCE = "tests/conformance"
UNIT = "tests/unit"


@dataclass(frozen=True)
class Fault:
    """A change of the packages."""

    name: str
    """The place, and what is wrong there."""

    text: str
    """Occurs once below fruits/ and backends/, in whichever file: moves do not matter."""

    seeded: str
    """What takes its place."""

    tests: tuple[str, ...]
    """Pytest's ids. One at least must fail."""


FAULTS = (
    # Leases
    Fault(
        "lease: the loser of a race has it too",
        "if self._token(name) != self._holder.token:",
        "if False:",
        (f"{CONFORMANCE}/test_lock.py::test_who_is_overtaken_between_looking_and_creating_does_not_get_it",),
    ),
    Fault(
        "lease: a new file may replace another",
        'with open(target, "xb", opener=private) as file:',
        'with open(target, "wb", opener=private) as file:',
        (f"{CONFORMANCE}/test_lock.py::test_who_is_overtaken_between_looking_and_creating_does_not_get_it",),
    ),
    Fault(
        "lease: one of this process is dead",
        "return self.token not in _held",
        "return True",
        (f"{CONFORMANCE}/test_lock.py::test_the_lease_of_this_process_itself",),
    ),
    Fault(
        "lease: all processes are dead",
        "return self.started != _started(self.pid)",
        "return True",
        (f"{CONFORMANCE}/test_lock.py::test_the_second_run_is_refused_with_who_has_the_output[dask]",),
    ),
    Fault(
        "lease: whose it is now is not noticed",
        "if _name_of(number) != self._name or (",
        "if False and (",
        (f"{CONFORMANCE}/test_lock.py::test_a_lease_that_is_lost_in_mid_run[inprocess]",),
    ),
    Fault(
        "lease: a sign of life is not seen",
        "if (found := self._newest()) != (number, content):",
        "if (found := self._newest()) and False:",
        (f"{CONFORMANCE}/test_lock.py::test_a_lease_of_another_machine_that_changes_is_alive",),
    ),
    # Markers
    Fault(
        "marker: its files are not looked at",
        "return all(folder.holds_intact(file) for file in self.done.stored)",
        "return True",
        (f"{CONFORMANCE}/test_resume.py::test_a_marker_is_believed_only_when_its_data_is_whole[inprocess-missing]",),
    ),
    Fault(
        "marker: content is not digested",
        'return size == stored.bytes and hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256',
        "return size == stored.bytes",
        (f"{CONFORMANCE}/test_resume.py::test_a_marker_is_believed_only_when_its_data_is_whole[inprocess-altered]",),
    ),
    Fault(
        "marker: a draft counts",
        "[name for name in folder.names(MARKERS) if not is_draft(name)]",
        "folder.names(MARKERS)",
        (f"{CONFORMANCE}/test_resume.py::test_a_marker_is_believed_only_when_its_data_is_whole[inprocess-draft]",),
    ),
    # Resume
    Fault(
        "resume: the version of a file is not compared",
        ' & _numpy(pc.equal(now["version"], rows["version"]))',
        "",
        (f"{CONFORMANCE}/test_resume.py::test_a_file_is_the_same_by_size_and_time[time]",),
    ),
    Fault(
        "resume: the size of a file is not compared",
        ' & _numpy(pc.equal(now["size"], rows["size"]))',
        "",
        (f"{CONFORMANCE}/test_resume.py::test_a_file_is_the_same_by_size_and_time[size]",),
    ),
    Fault(
        "resume: rows of two chunks are taken twice",
        "if right[part].all() and not taken[at[part]].any():",
        "if right[part].all():",
        (f"{CONFORMANCE}/test_incremental.py::test_what_a_killed_retry_left_counts",),
    ),
    Fault(
        "resume: the oldest of two chunks counts",
        "key=lambda chunk: (-chunk.done.committed, chunk.done.chunk)",
        "key=lambda chunk: (chunk.done.committed, chunk.done.chunk)",
        (f"{CONFORMANCE}/test_incremental.py::test_what_a_killed_retry_left_counts",),
    ),
    Fault(
        "resume: a run with nothing new is complete, whatever was asked",
        "if report is None or report.fingerprint != fingerprints:",
        "if report is None:",
        (f"{CONFORMANCE}/test_resume.py::test_another_projection_reuses_the_features[inprocess]",),
    ),
    # Results
    Fault(
        "results: other features are mixed in",
        "if differing and not self._fresh:",
        "if False:",
        (f"{CONFORMANCE}/test_resume.py::test_other_features_are_refused_with_what_differs[inprocess]",),
    ),
    Fault(
        "results: what a fresh run is to replace is reused",
        "            if self._fresh:\n",
        "            if False:\n",
        (f"{CONFORMANCE}/test_incremental.py::test_a_fresh_run_reads_every_image_again",),
    ),
    Fault(
        "results: old files go before the new report stands",
        "self._sweep(new | {file.name for file in standing.files} if standing else new)",
        "self._sweep(new)",
        (f"{CONFORMANCE}/test_commit.py::test_until_the_report_is_replaced_the_old_result_is_whole",),
    ),
    Fault(
        "results: what no report names stays",
        "        self._remove_plans()\n        self._sweep(new)\n",
        "        self._remove_plans()\n",
        (f"{CONFORMANCE}/test_resume.py::test_another_projection_reuses_the_features[inprocess]",),
    ),
    Fault(
        "results: damaged files pass for complete",
        "all(self.folder.holds_intact(file) for file in report.files if file.name != PAGE)",
        "True",
        (f"{CONFORMANCE}/test_results.py::test_a_damaged_result_is_made_again[pca]",),
    ),
    # Plan
    Fault(
        "plan: a changed file gives a chunk of the same name",
        'digest.update(f"{key}\\0{size}\\0{version}\\n".encode())',
        'digest.update(f"{key}\\n".encode())',
        (f"{CONFORMANCE}/test_incremental.py::test_chunks_whose_files_all_changed",),
    ),
    Fault(
        "plan: the last chunk is lost",
        "return [*range(0, images, chunk_size), images]",
        "return [*range(0, images, chunk_size)]",
        (f"{UNIT}/test_plan.py::test_a_given_size_is_kept",),
    ),
    Fault(
        "commit: what a chunk did not get to is taken for done",
        "left[cuts[number] : cuts[number] + chunk.images] = False",
        "left[cuts[number] : cuts[number + 1]] = False",
        (f"{CONFORMANCE}/test_commit.py::test_a_chunk_that_takes_long_is_committed_in_parts",),
    ),
    Fault(
        "commit: a part's marker names all files of the chunk",
        "chunk = Chunk(chunk.files.slice(0, count))",
        "pass",
        (f"{CONFORMANCE}/test_commit.py::test_a_chunk_that_takes_long_is_committed_in_parts",),
    ),
    Fault(
        "featurize: the last batch is not inferred",
        "if rest := len(good) - inferred:",
        "if (rest := len(good) - inferred) and False:",
        (f"{CONFORMANCE}/test_features.py::test_features_do_not_depend_on_the_engine_the_batch_or_the_chunk[inprocess]",),
    ),
    # Retry
    Fault(
        "retry: one attempt",
        "for pause in (*PAUSES, None):",
        "for pause in (None,):",
        (f"{CONFORMANCE}/test_faults.py::test_a_fault_that_passes[inprocess]",),
    ),
    Fault(
        "retry: a fault of all is one item's",
        "tuple(faults), number in _OF_ALL,",
        "tuple(faults), False,",
        (f"{CONFORMANCE}/test_faults.py::test_a_right_that_is_lost_in_mid_run[dask-output]",),
    ),
    # Rejects
    Fault(
        "rejects: are not asked again on demand",
        'again=now() if job.retry_rejected else "",',
        'again="",',
        (f"{CONFORMANCE}/test_incremental.py::test_rejected_images_are_done_again_on_demand[inprocess]",),
    ),
    Fault(
        "rejects: any share of them passes",
        "if counts.rejected > ready.job.max_rejected * counts.found:",
        "if False:",
        (f"{CONFORMANCE}/test_rejects.py::test_too_many_rejected[inprocess]",),
    ),
    Fault(
        "rejects: an input that is gone rejects every image",
        "self._check_answers(key, missing)",
        "pass",
        (f"{CONFORMANCE}/test_faults.py::test_an_input_that_is_gone_as_a_whole_is_no_fault_of_its_files[inprocess]",),
    ),
    Fault(
        "rejects: those that were done again are listed twice",
        " and m.done.chunk not in replaced",
        "",
        (f"{CONFORMANCE}/test_incremental.py::test_what_a_killed_retry_left_counts",),
    ),
    # Listing
    Fault(
        "listing: hidden files are left out",
        'if name.startswith("._") or name == ".DS_Store":',
        'if name.startswith("."):',
        (f"{CONFORMANCE}/test_features.py::test_paths_come_out_as_they_went_in[inprocess]",),
    ),
    Fault(
        "listing: one level of folders",
        "folders.append(entry.path)",
        "folders.append(entry.path) if folder == root else None",
        (f"{CONFORMANCE}/test_names.py::test_a_deep_tree_with_loops[inprocess]",),
    ),
    Fault(
        "listing: the label is the first folder",
        'return parent.rstrip("/").rpartition("/")[2]',
        'return parent.rstrip("/").partition("/")[0]',
        (f"{CONFORMANCE}/test_names.py::test_a_deep_tree_with_loops[inprocess]",),
    ),
    Fault(
        "manifest: an image that is named twice is done twice",
        "named = named.filter(pa.array(first))",
        "pass",
        (f"{CONFORMANCE}/test_manifest.py::test_the_images_that_a_manifest_names[inprocess]",),
    ),
    # Decoding
    Fault(
        "decode: another filter",
        "np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC))",
        "np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BILINEAR))",
        (f"{CONFORMANCE}/test_features.py::test_features_are_those_of_the_emr_run[inprocess-litert]",),
    ),
    Fault(
        "decode: truncated is corrupt",
        'reason = Reason.TRUNCATED if "truncated" in str(fault).lower() else Reason.CORRUPT',
        "reason = Reason.CORRUPT",
        (f"{CONFORMANCE}/test_rejects.py::test_each_fault_is_a_row_with_its_reason[inprocess]",),
    ),
    Fault(
        "decode: no limit of pixels",
        "if image.width * image.height * _weight(image) > max_pixels:",
        "if False:",
        (f"{CONFORMANCE}/test_rejects.py::test_each_fault_is_a_row_with_its_reason[inprocess]",),
    ),
    # Moments and projection
    Fault(
        "moments: merging forgets how far the means are apart",
        "products += np.outer(apart, apart * (self.rows * other.rows / rows))",
        "pass",
        (f"{CONFORMANCE}/test_pca.py::test_pca_of_the_sample_is_that_of_scikit_learn[inprocess-moments]",),
    ),
    Fault(
        "moments: deviations with n",
        "np.sqrt(np.diag(self.products) / (self.rows - 1))",
        "np.sqrt(np.diag(self.products) / self.rows)",
        (f"{CONFORMANCE}/test_pca.py::test_standardized[inprocess]",),
    ),
    Fault(
        "projection: the other sign",
        "np.where(largest < 0, -1.0, 1.0)",
        "np.where(largest > 0, -1.0, 1.0)",
        (f"{CONFORMANCE}/test_pca.py::test_pca_of_the_sample_is_that_of_scikit_learn[inprocess-native]",),
    ),
    Fault(
        "projection: a share gets a component less",
        "min(int(np.searchsorted(np.cumsum(explained), share)) + 1, len(explained))",
        "min(int(np.searchsorted(np.cumsum(explained), share)), len(explained))",
        (f"{CONFORMANCE}/test_pca.py::test_a_share_of_the_variance[inprocess]",),
    ),
    Fault(
        "projection: never centred",
        "centred = features.astype(np.float64) if uncentred else features - self.mean",
        "centred = features.astype(np.float64)",
        (f"{CONFORMANCE}/test_pca.py::test_standardized[inprocess]",),
    ),
    Fault(
        "projection: what it captures is of all images",
        "for chunk in done if chunk.features and not fitted & {chunk.chunk, *chunk.origins}]",
        "for chunk in done if chunk.features]",
        (f"{CONFORMANCE}/test_pca.py::test_the_projection_of_the_first_run_is_kept[inprocess]",),
    ),
    # Export
    Fault(
        "export: a spreadsheet runs a label",
        'columns = [harmless(rows["path"]), harmless(rows["label"]),',
        'columns = [harmless(rows["path"]), rows["label"],',
        (f"{CONFORMANCE}/test_names.py::test_names_that_a_spreadsheet_or_a_shell_would_run[inprocess]",),
    ),
    Fault(
        "export: files of pca_features as they arrive",
        "return [pca[file.name] for file in features]",
        "return list(pca.values())",
        (f"{CONFORMANCE}/test_resume.py::test_vanished_and_changed_images_leave_every_output[inprocess]",),
    ),
    Fault(
        "validate: rows may be missing",
        "if featurized + rejected.num_rows != found:",
        "if False:",
        (f"{CONFORMANCE}/test_results.py::test_validate_names_each_failure",),
    ),
    Fault(
        "validate: any numbers in results.csv",
        'if not same or not np.array_equal(np.column_stack(part.columns[2:]), schemas.matrix(rows["pca_features"])):',
        "if not same:",
        (f"{CONFORMANCE}/test_results.py::test_validate_names_each_failure",),
    ),
    # Carry
    Fault(
        "carry: rows of images that have left",
        'kept = rows.filter(pc.is_in(rows["path"], paths))',
        "kept = rows",
        (f"{CONFORMANCE}/test_incremental.py::test_a_chunk_keeps_the_rows_that_are_right[inprocess]",),
    ),
    Fault(
        "carry: where its rows come from is forgotten",
        "origins=[*old.done.origins, origin],",
        "origins=[],",
        (f"{CONFORMANCE}/test_pca.py::test_the_projection_of_the_first_run_is_kept[inprocess]",),
    ),
    # Engines
    Fault(
        "spark: a result arrives twice",
        "if number not in yielded:  # a task that ran twice arrives twice",
        "if True:",
        (f"{CONFORMANCE}/test_resume.py::test_the_same_job_again_has_nothing_to_do[spark]",),
    ),
    Fault(
        "spark: done items are done again after a failure",
        "if position not in done and position != number]",
        "if position != number]",
        (f"{CONFORMANCE}/test_faults.py::test_an_item_that_ends_its_worker_is_given_up_and_the_others_are_done[spark]",),
    ),
    Fault(
        "spark: a failed item is given up as another",
        "yield GaveUp(items[number], *self._why(failed))",
        "yield GaveUp(items[0], *self._why(failed))",
        (f"{CONFORMANCE}/test_faults.py::test_an_item_that_ends_its_worker_is_given_up_and_the_others_are_done[spark]",),
    ),
    Fault(
        "dask: a failed item is dropped",
        "return GaveUp(item, *_why(cause))",
        "return None",
        (f"{CONFORMANCE}/test_faults.py::test_an_item_that_ends_its_worker_is_given_up_and_the_others_are_done[dask]",),
    ),
    Fault(
        "dask: results of other items",
        "yield self._outcome(item_of[future.key], future)",
        "yield self._outcome(items[0], future)",
        (f"{CONFORMANCE}/test_faults.py::test_an_item_that_ends_its_worker_is_given_up_and_the_others_are_done[dask]",),
    ),
)
